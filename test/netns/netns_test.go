package netns_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kdht/kdht/test/netns"
)

const (
	members = 4
	away    = members - 1 // whose link fails
	// patience bounds whatever is waited for: seconds, but for the second attempt at who
	// was gone, which comes 40 s after the first.
	patience = 2 * time.Minute
)

// town is a lab with a running node on each host.
type town struct {
	t       *testing.T
	lab     *netns.Lab
	program string
	dir     string
	env     []string
	ids     [members]string
}

// newTown starts the nodes and waits until each knows all others.
func newTown(t *testing.T) *town {
	t.Helper()
	lab, err := netns.New(t.Context(), members)
	if errors.Is(err, netns.ErrNoPrivilege) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, err := os.MkdirTemp("", "kdht") // short enough for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &town{t: t, lab: lab, dir: dir, program: filepath.Join(dir, "kdht")}
	w.env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	if out, err := exec.Command("go", "build", "-o", w.program, "../../cmd/node").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	first := w.run(0)
	for i := 1; i < members; i++ {
		w.run(i, "--bootstrap", first)
	}
	w.until("all know each other", func() bool { return w.know(members-1, 0, 1, 2, 3) })
	return w
}

// address is what a node prints that others can join through.
var address = regexp.MustCompile(`/ip4/10\.99\S+/tcp/\d+/p2p/(\S+)`)

// run starts the node of a host, which listens with TCP and QUIC, and returns its
// address. It is killed at the end of the test.
func (w *town) run(i int, args ...string) string {
	w.t.Helper()
	ip := w.lab.Addr(i)
	args = append([]string{
		"run", "--memory", "--key", filepath.Join(w.dir, fmt.Sprint("key", i)), "--control", w.socket(i),
		"--listen", "/ip4/" + ip + "/tcp/4001", "--listen", "/ip4/" + ip + "/udp/4001/quic-v1",
	}, args...)
	cmd := w.lab.Command(context.Background(), i, w.program, args...)
	printed := &output{told: make(chan struct{}, 1)}
	cmd.Env, cmd.Stdout, cmd.Stderr = w.env, printed, printed
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	overdue := time.After(patience)
	for {
		if found := address.FindStringSubmatch(printed.String()); found != nil && strings.Contains(printed.String(), "control") {
			w.ids[i] = found[1]
			return found[0]
		}
		select {
		case <-printed.told:
		case <-overdue:
			w.t.Fatalf("node %d printed no address:\n%s", i, printed)
		}
	}
}

func (w *town) socket(i int) string { return filepath.Join(w.dir, fmt.Sprintf("%d.sock", i)) }

// kdht runs a command at a node and returns what it wrote to standard output.
func (w *town) kdht(i int, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.program, append(args, "--control", w.socket(i))...)
	var complaint bytes.Buffer
	cmd.Env, cmd.Stderr = w.env, &complaint
	began := time.Now()
	out, err := cmd.Output()
	if took := time.Since(began); took > time.Second {
		w.t.Logf("%s at node %d took %.1f s", args[0], i, took.Seconds())
	}
	if err != nil {
		err = fmt.Errorf("kdht %s at node %d: %w: %s", strings.Join(args, " "), i, err, complaint.String())
	}
	return strings.TrimSpace(string(out)), err
}

// know reports whether each of the nodes has so many others in its table.
func (w *town) know(others int, nodes ...int) bool {
	for _, i := range nodes {
		out, err := w.kdht(i, "table", "--json")
		var table struct{ Peers int }
		if err == nil {
			err = json.Unmarshal([]byte(out), &table)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if table.Peers != others {
			return false
		}
	}
	return true
}

// until waits for something to be so.
func (w *town) until(what string, so func() bool) {
	w.t.Helper()
	began := time.Now()
	for !so() {
		if time.Since(began) > patience {
			w.t.Fatalf("not after %v: %s", patience, what)
		}
	}
	w.t.Logf("%s after %.1f s", what, time.Since(began).Seconds())
}

// works has one node store a value and announce content, and another one find both and
// the peer that did it.
func (w *town) works(by, from int, round string) {
	w.t.Helper()
	value := fmt.Sprintf("by %d, %s", by, round)
	file := filepath.Join(w.dir, "content")
	w.must(os.WriteFile(file, []byte(value), 0o600))
	told := w.side(by, []string{"put", "--text", value}, []string{"provide", file})
	found := w.side(from, []string{"get", told[0]}, []string{"find-providers", told[1]}, []string{"find-peer", w.ids[by]})
	for i, part := range []string{value, w.ids[by], w.lab.Addr(by)} {
		if !strings.Contains(found[i], part) {
			w.t.Errorf("node %d put and announced, then node %d was to find %s, and found %q", by, from, part, found[i])
		}
	}
}

// side runs commands at a node side by side and returns what they print.
func (w *town) side(i int, commands ...[]string) []string {
	w.t.Helper()
	outs, errs := make([]string, len(commands)), make([]error, len(commands))
	var all sync.WaitGroup
	for k, args := range commands {
		all.Go(func() { outs[k], errs[k] = w.kdht(i, args...) })
	}
	all.Wait()
	w.must(errors.Join(errs...))
	return outs
}

// forget has the others work until none of them has the one that is away in its table.
func (w *town) forget() {
	w.t.Helper()
	round := 0
	w.until("the others have forgotten who is away", func() bool {
		var all sync.WaitGroup
		for i := range away { // at a time, as users do
			all.Go(func() {
				if _, err := w.kdht(i, "put", "--text", fmt.Sprint(w.t.Name(), i, round)); err != nil {
					w.t.Error(err)
				}
			})
		}
		all.Wait()
		round++
		return w.t.Failed() || w.know(away-1, 0, 1, 2)
	})
}

// A host whose link fails is forgotten while the others go on, and is a member again
// when it is back.
func TestLinkGoesDownAndComesBack(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.works(0, away, "before")
	w.must(w.lab.Link(t.Context(), away, false))
	w.works(1, 2, "while it is down")
	w.forget()
	w.works(2, 0, "when it is forgotten")
	w.must(w.lab.Link(t.Context(), away, true))
	w.until("the one that is back knows all and is known", func() bool { return w.know(members-1, 0, 1, 2, 3) })
	w.works(away, 0, "when it is back")
	w.works(1, away, "when it is back")
}

// A host that vanishes says no farewell: no packet of it arrives any more, not even the
// end of its connections.
func TestHostVanishes(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.works(away, 0, "before")
	if said, err := w.kdht(0, "ping", w.ids[away], "--timeout", "5s"); err != nil {
		t.Errorf("a ping before: %v: %s", err, said)
	}
	w.must(w.lab.Vanish(t.Context(), away))
	w.works(0, 1, "when it is gone")
	w.forget()
	w.works(1, 2, "when it is forgotten")
	if _, err := w.kdht(0, "ping", w.ids[away], "--timeout", "1s"); err == nil {
		t.Error("who has vanished answers a ping")
	}
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// output is what a program has printed so far.
type output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	told chan struct{}
}

var _ io.Writer = (*output)(nil)

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.told <- struct{}{}:
	default:
	}
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
