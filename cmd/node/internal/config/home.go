// Package config is where a node of this user keeps its things: its key and its
// records in the state directory, its control socket in the runtime directory, each under the
// node's name, so that several can run side by side.
//
// The invariant: a name, and a key file, is held by at most one running node.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
)

// FirstName is the name of a node that was given none and is the only one.
const FirstName = "node"

// Home is the directories of one user.
type Home struct {
	state   string // keys and records, kept
	runtime string // sockets, gone with the session; "" if the system has none
}

// FindHome returns the directories that the environment says: $XDG_STATE_HOME or
// what the system has for it, and $XDG_RUNTIME_DIR.
func FindHome(getenv func(string) string) (Home, error) {
	h := Home{}
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		h.runtime = filepath.Join(dir, "kdht")
	}
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		h.state = filepath.Join(dir, "kdht")
		return h, nil
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return Home{}, noHome(err.Error())
		}
		h.state = filepath.Join(dir, "kdht")
		return h, nil
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return Home{}, noHome("neither XDG_STATE_HOME nor HOME is set")
	}
	h.state = filepath.Join(home, ".local", "state", "kdht")
	return h, nil
}

func noHome(why string) error {
	return control.Errorf(control.Failed, "no place for this node's key and control socket (%s): give them with --key FILE and --control PATH", why)
}

// Dir is the directory of the node called name: its key, records and routing table.
func (h Home) Dir(name string) string { return filepath.Join(h.state, name) }

// Key is the key file of the node called name.
func (h Home) Key(name string) string { return filepath.Join(h.Dir(name), "key") }

// Socket is the control socket of the node called name.
func (h Home) Socket(name string) string {
	if h.runtime != "" {
		return filepath.Join(h.runtime, name+socketExt)
	}
	return filepath.Join(h.state, name, "control"+socketExt)
}

const socketExt = ".sock"

// Running returns the names of the nodes that run here now, in order.
func (h Home) Running() []string {
	var names []string
	pattern, name := filepath.Join(h.state, "*", "control"+socketExt), func(p string) string { return filepath.Base(filepath.Dir(p)) }
	if h.runtime != "" {
		pattern, name = filepath.Join(h.runtime, "*"+socketExt), func(p string) string { return strings.TrimSuffix(filepath.Base(p), socketExt) }
	}
	sockets, _ := filepath.Glob(pattern) // its only error is a bad pattern
	for _, path := range sockets {
		if control.Alive(path) {
			names = append(names, name(path))
		}
	}
	slices.Sort(names)
	return names
}

// FreeName returns the first of name, name-2, and so on, under which no node is
// served.
func (h Home) FreeName(name string) string {
	for i := 1; ; i++ {
		if free := numbered(name, i); i == maxNodes || !control.Alive(h.Socket(free)) {
			return free
		}
	}
}

// numbered is the name of the i-th node that nobody named.
func numbered(name string, i int) string {
	if i == 1 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, i)
}

// Find returns the socket of the node that a command without --control means:
// the one called name; or, without a name, the first or else the only one.
func (h Home) Find(name string) (string, error) {
	if name != "" {
		if err := CheckName(name); err != nil {
			return "", err
		}
		return h.Socket(name), nil
	}
	first := h.Socket(FirstName)
	if control.Alive(first) {
		return first, nil
	}
	switch running := h.Running(); len(running) {
	case 0:
		return first, nil // the error of dialing it says what to do
	case 1:
		return h.Socket(running[0]), nil
	default:
		return "", control.Errorf(control.Usage, "several nodes run here: choose one with --name (%s)", strings.Join(running, ", "))
	}
}

var goodName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// CheckName returns nil if a node may be called name.
func CheckName(name string) error {
	if !goodName.MatchString(name) {
		return control.Errorf(control.Usage, "%.64q is no name for a node: use up to 32 of a-z, 0-9 and -", name)
	}
	return nil
}
