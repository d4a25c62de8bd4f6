package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// maxPath is the longest path of a unix socket that every system takes (macOS:
	// 104 bytes with the terminating zero).
	maxPath = 103
	// dialTimeout bounds connecting to a socket on this machine.
	dialTimeout = 2 * time.Second
)

// Listen makes the control socket at path, which only this user can open. What a
// node that died left there is replaced; a socket that a running node serves, or
// a file that is none, is not.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, Errorf(Usage, "the path of the control socket has %d bytes, at most %d work: give a shorter one with --control", len(path), maxPath)
	}
	if err := vacant(path); err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, Errorf(Failed, "cannot make the directory of the control socket: %v; give another with --control", err)
	}
	// Made where nobody else can enter and moved when it has its mode, the socket is
	// at no time open to others; moving also takes the place of a dead one at once.
	private, err := os.MkdirTemp(dir, ".kdht")
	if err != nil {
		return nil, Errorf(Failed, "cannot make the control socket: %v; give another place with --control", err)
	}
	defer os.RemoveAll(private)
	return listenIn(private, path)
}

func listenIn(private, path string) (net.Listener, error) {
	l, err := net.Listen("unix", filepath.Join(private, "s"))
	if err != nil {
		return nil, Errorf(Failed, "cannot make the control socket in %s: %v; give another place with --control", filepath.Dir(path), err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	err = os.Chmod(filepath.Join(private, "s"), 0o600)
	if err == nil {
		err = os.Rename(filepath.Join(private, "s"), path)
	}
	if err != nil {
		l.Close()
		return nil, Errorf(Failed, "cannot make the control socket: %v; give another place with --control", err)
	}
	return &listener{Listener: l, path: path}, nil
}

// listener removes its socket when it is closed.
type listener struct {
	net.Listener
	path string
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	if !errors.Is(err, net.ErrClosed) {
		os.Remove(l.path)
	}
	return err
}

// vacant returns nil if a socket may be made at path.
func vacant(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return Errorf(Failed, "cannot look at the control socket: %v; give another with --control", err)
	case info.Mode()&fs.ModeSocket == 0:
		return Errorf(Usage, "%s exists and is no socket: give another path with --control", path)
	case Alive(path):
		return Errorf(Failed, "another node is served at %s: stop it, or give this one its own socket with --control", path)
	}
	return nil
}

// Alive reports whether a process listens at path.
func Alive(path string) bool {
	conn, err := net.DialTimeout("unix", path, dialTimeout)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// dialError says why there is no connection to the socket at path.
func dialError(path string, err error) *Error {
	info, statErr := os.Lstat(path)
	switch {
	case statErr == nil && info.Mode()&fs.ModeSocket == 0:
		return Errorf(Usage, "%s is no control socket: `kdht run` prints where its own is", path)
	case errors.Is(err, fs.ErrNotExist):
		return Errorf(Failed, "no node runs here (there is no %s): start one with `kdht run`, or use another's with --bootstrap MULTIADDR", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return Errorf(Failed, "the node that made %s is gone: start one with `kdht run`, or use another's with --bootstrap MULTIADDR", path)
	case errors.Is(err, fs.ErrPermission):
		return Errorf(Failed, "%s belongs to another user's node: run as that user, or start a node of your own with `kdht run`", path)
	}
	return Errorf(Failed, "cannot reach the node at %s: %v; is it `kdht run`'s control socket?", path, err)
}
