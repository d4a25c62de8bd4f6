package control

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketIsTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for p, mode := range map[string]fs.FileMode{path: 0o600 | fs.ModeSocket, filepath.Dir(path): 0o700 | fs.ModeDir} {
		info, err := os.Stat(p)
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; want %v", p, info.Mode(), err, mode)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDeadSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	_, err = Dial(t.Context(), path)
	want(t, err, Failed, "is gone")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !Alive(path) {
		t.Error("nobody listens at the new socket")
	}
	_, err = Listen(path)
	want(t, err, Failed, "another node")
}

func TestWhatIsNoSocketStays(t *testing.T) {
	path := socketPath(t)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Listen(path)
	want(t, err, Usage, "no socket")
	_, err = Dial(t.Context(), path)
	want(t, err, Usage, "no control socket")
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file is now %q, %v", b, err)
	}
}

func TestBadPlaces(t *testing.T) {
	_, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("x", maxPath)))
	want(t, err, Usage, "shorter")
	_, err = Dial(t.Context(), socketPath(t))
	want(t, err, Failed, "kdht run")
	file := socketPath(t)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Listen(filepath.Join(file, "s"))
	want(t, err, Failed, "--control")
}
