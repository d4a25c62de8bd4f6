package config

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/control"
)

// home returns directories of a test's own, with paths short enough for sockets.
func home(t *testing.T) Home {
	t.Helper()
	dir, err := os.MkdirTemp("", "k")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Home{state: filepath.Join(dir, "state"), runtime: filepath.Join(dir, "run")}
}

func wantKind(t *testing.T, err error, k control.Kind, says string) {
	t.Helper()
	var e *control.Error
	if !errors.As(err, &e) || e.Kind != k || !strings.Contains(e.Message, says) {
		t.Errorf("got %v, want an error of kind %s with %q", err, k, says)
	}
}

func TestFindHome(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("the defaults of other systems are the standard library's")
		return
	}
	for _, c := range []struct {
		env         map[string]string
		key, socket string
	}{
		{map[string]string{"HOME": "/h"}, "/h/.local/state/kdht/n/key", "/h/.local/state/kdht/n/control.sock"},
		{map[string]string{"HOME": "/h", "XDG_RUNTIME_DIR": "/r"}, "/h/.local/state/kdht/n/key", "/r/kdht/n.sock"},
		{map[string]string{"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "relative"}, "/s/kdht/n/key", "/s/kdht/n/control.sock"},
	} {
		h, err := FindHome(func(name string) string { return c.env[name] })
		if err != nil || h.Key("n") != c.key || h.Socket("n") != c.socket {
			t.Errorf("%v: %s, %s, %v; want %s, %s", c.env, h.Key("n"), h.Socket("n"), err, c.key, c.socket)
		}
	}
	_, err := FindHome(func(string) string { return "" })
	wantKind(t, err, control.Failed, "--key FILE and --control PATH")
}

func TestNodesSideBySideHaveTheirOwnIdentities(t *testing.T) {
	h := home(t)
	first, err := h.Claim("")
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.Claim("")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	if first.Name != "node" || second.Name != "node-2" || first.Key.Equals(second.Key) {
		t.Errorf("names %s and %s", first.Name, second.Name)
	}
	_, err = h.Claim("node")
	wantKind(t, err, control.Failed, "running already")
	_, err = ClaimFile("other", first.KeyFile)
	wantKind(t, control.AsError(err), control.Failed, "another --key")
	if !errors.Is(err, ErrHeld) {
		t.Errorf("%v does not say that the key is held", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := h.Claim("")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Release()
	if again.Name != "node" || !again.Key.Equals(first.Key) {
		t.Errorf("after a restart: %s with another key", again.Name)
	}
}

func TestBadKeysAndNames(t *testing.T) {
	h := home(t)
	for _, name := range []string{"Upper", "../up", "-", strings.Repeat("x", 33), "a b"} {
		_, err := h.Claim(name)
		wantKind(t, err, control.Usage, "no name")
		_, err = h.Find(name)
		wantKind(t, err, control.Usage, "no name")
	}
	open := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(open, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := ClaimFile("", open)
	wantKind(t, err, control.Failed, "chmod 600")
	_, err = ClaimFile("", t.TempDir())
	wantKind(t, err, control.Failed, "not a regular file")
	_, err = ReadKey(h.Key("none"))
	wantKind(t, err, control.Failed, "kdht run")
	if _, err := os.Stat(h.Key("none")); err == nil {
		t.Error("reading made the key")
	}
}

func TestFindMeansTheNodeThatRuns(t *testing.T) {
	h := home(t)
	find := func(name, want string) {
		t.Helper()
		if path, err := h.Find(name); err != nil || path != h.Socket(want) {
			t.Errorf("Find(%q): %s, %v; want %s", name, path, err, h.Socket(want))
		}
	}
	serve := func(name string) func() {
		t.Helper()
		l, err := control.Listen(h.Socket(name))
		if err != nil {
			t.Fatal(err)
		}
		return func() { l.Close() }
	}
	find("", "node") // none runs: dialing it says so
	find("x", "x")
	endB := serve("b")
	defer endB()
	find("", "b")
	endA := serve("a")
	_, err := h.Find("")
	wantKind(t, err, control.Usage, "a, b")
	if free := h.FreeName("a"); free != "a-2" {
		t.Errorf("free name %s", free)
	}
	endA()
	find("", "b")
	endNode := serve("node")
	defer endNode()
	find("", "node")
	h.runtime = ""
	if got := h.Running(); len(got) != 0 {
		t.Errorf("without a runtime directory: %v run", got)
	}
	defer serve("c")()
	find("", "c")
}
