package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager: what it is told comes to a real socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T, u *user) *manager {
	t.Helper()
	path := filepath.Join(u.home, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	u.env = append(u.env, "NOTIFY_SOCKET="+path)
	return &manager{t, conn}
}

// hears waits for the next message, which must have all these lines.
func (m *manager) hears(lines ...string) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil {
		m.t.Fatalf("waiting for %q: %v", lines, err)
	}
	for _, line := range lines {
		if !strings.Contains("\n"+string(b[:n])+"\n", "\n"+line) {
			m.t.Fatalf("heard %q, want %q", b[:n], line)
		}
	}
}

func TestServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	_, join := u.node() // whom nobody supervises
	m := newManager(t, u)
	n := u.start(append(append([]string{"run", "--name", "service"}, local...), join...)...)
	m.hears("READY=1\n", "STATUS=runs\n")
	// It can be used from now on.
	u.kdht("status", "--name", "service").ok()
	m.hears("STATUS=runs, has joined its network\n")
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.hears("RELOADING=1\n", "MONOTONIC_USEC=")
	m.hears("READY=1\n") // without a file to read, too
	if code := n.end(syscall.SIGTERM); code != 0 {
		t.Errorf("ended with %d", code)
	}
	m.hears("STOPPING=1\n")
}

// A manager that is gone keeps no node from running.
func TestServiceManagerIsGone(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.env = append(u.env, "NOTIFY_SOCKET="+filepath.Join(u.home, "nobody"))
	n, _ := u.node("--memory")
	n.err.await(t, "the service manager cannot be told READY=1: ")
	if code := n.end(syscall.SIGTERM); code != 0 {
		t.Errorf("ended with %d", code)
	}
}

// What systemd hands over as a credential has the mode 0440, and its directory cannot be
// written to.
func TestKeyAsCredential(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	dir := filepath.Join(u.home, "credentials")
	key := filepath.Join(dir, "key")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(u.kdht("key", "gen", key).ok())
	for path, mode := range map[string]os.FileMode{key: 0o440, dir: 0o500} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	args := append([]string{"run", "--data-dir", filepath.Join(u.home, "state"), "--key", key}, local...)
	u.kdht(args...).fails(1, "chmod 600") // elsewhere such a file is open to others
	u.env = append(u.env, "CREDENTIALS_DIRECTORY="+dir)
	n := u.start(args...)
	if line := n.out.await(t, "id  "); !strings.Contains(id, strings.Fields(line)[1]) {
		t.Errorf("the node is %q, the key's id is %q", line, id)
	}
	if code := n.end(syscall.SIGTERM); code != 0 {
		t.Errorf("ended with %d", code)
	}
	if err := os.Chmod(key, 0o444); err != nil {
		t.Fatal(err)
	}
	u.kdht(args...).fails(1, "open to other users")
	args[len(args)-len(local)-1] = filepath.Join(dir, "none")
	u.kdht(args...).fails(1, "LoadCredential=none:FILE")
}
