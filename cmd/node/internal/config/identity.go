package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/host/build"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// maxNodes is how many nodes may run side by side under names nobody chose.
const maxNodes = 64

// Identity is a node's name and key, held until Release.
type Identity struct {
	Name    string
	KeyFile string
	Key     crypto.PrivKey
	lock    *os.File
}

// Release lets another node have the identity.
func (i *Identity) Release() error { return i.lock.Close() }

// ErrHeld means that a running node has the key.
var ErrHeld = errors.New("in use by a running node")

// Claim takes the identity of the node called name, made if it does not exist;
// without a name, that of the first that is not running: "node", "node-2", and so
// on. So each shell's node has its own id, and the same one next time.
func (h Home) Claim(name string) (*Identity, error) {
	if name != "" {
		if err := CheckName(name); err != nil {
			return nil, err
		}
		id, err := hold(name, h.Key(name))
		if errors.Is(err, ErrHeld) {
			return nil, control.Errorf(control.Failed, "the node %q is running already: choose another --name, or stop it first", name)
		}
		return id, err
	}
	for i := 1; i <= maxNodes; i++ {
		name = numbered(FirstName, i)
		id, err := hold(name, h.Key(name))
		if !errors.Is(err, ErrHeld) {
			return id, err
		}
	}
	return nil, control.Errorf(control.Failed, "%d nodes are running already: give this one a --name", maxNodes)
}

// ClaimFile takes the identity in a key file, made if it does not exist, for the
// node called name. The error wraps ErrHeld if a running node has it.
func ClaimFile(name, path string) (*Identity, error) {
	id, err := hold(name, path)
	if errors.Is(err, ErrHeld) {
		return nil, fmt.Errorf("the key %s is %w: two nodes with one id break each other; give this one another --key", path, err)
	}
	return id, err
}

func hold(name, path string) (*Identity, error) {
	key, err := LoadKey(path)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, control.Errorf(control.Failed, "cannot read the key file: %v", err)
	}
	if err := lock(file); err != nil {
		file.Close()
		return nil, err
	}
	return &Identity{Name: name, KeyFile: path, Key: key, lock: file}, nil
}

// LoadKey returns the key in a file, made if it does not exist and is no credential.
func LoadKey(path string) (crypto.PrivKey, error) {
	read := build.LoadOrCreateKey
	if isCredential(path) {
		read = readCredential
	}
	key, err := read(path)
	if err != nil {
		return nil, control.AsError(err)
	}
	return key, nil
}

// ReadKey returns the key in a file that must exist.
func ReadKey(path string) (crypto.PrivKey, error) {
	if _, err := os.Stat(filepath.Clean(path)); errors.Is(err, fs.ErrNotExist) {
		return nil, control.Errorf(control.Failed, "there is no key %s yet: `kdht run` makes one", path)
	}
	return LoadKey(path)
}
