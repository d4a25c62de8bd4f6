package httpapi

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections in memory, for virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	addr   net.Addr
}

func newPipes() *pipes {
	return &pipes{make(chan net.Conn), make(chan struct{}), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return p.addr }

// from is a connection whose other side is at an address.
type from struct {
	net.Conn
	addr string
}

func (f from) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", f.addr)
	return a
}

// dial connects from an address.
func (p *pipes) dial(addr string) net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- from{theirs, addr}
	return ours
}

// endless answers until it cannot.
type endless struct{ failed chan error }

func (e endless) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			e.failed <- err
			return
		}
	}
}

// Clients that send or read too slowly lose their connection, in bounded time; those
// that only listen keep it.
func TestSlowClients(t *testing.T) {
	for _, c := range []struct {
		what, send string
		within     time.Duration
		says       string
	}{
		{"sends nothing", "", headerTimeout, ""},
		{"never ends its header", "GET /page HTTP/1.1\r\nHost: localhost\r\nX: ", headerTimeout, ""},
		{"never ends its body", "PUT /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nslow", bodyTimeout, "408"},
		{"asks no more", "GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n", idleTimeout, "200"},
		{"listens", "GET /quiet HTTP/1.1\r\nHost: localhost\r\n\r\n", 10*time.Minute + idleTimeout, "200"},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, s := newPipes(), New(Config{})
			s.Mount(Admin, "/page", page("page"))
			s.Mount(Admin, "/quiet", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done():
					t.Error("called off")
				case <-time.After(10 * time.Minute):
					_, _ = io.WriteString(w, "at last")
				}
			}))
			if err := s.Serve(l); err != nil {
				t.Fatal(err)
			}
			conn, begun := l.dial("127.0.0.1:9"), time.Now()
			go func() { _, _ = io.WriteString(conn, c.send) }()
			got, err := io.ReadAll(conn)
			if took := time.Since(begun); err != nil || took > c.within+time.Second || took < c.within/2 {
				t.Errorf("%s: cut after %v, want about %v (%v)", c.what, took, c.within, err)
			}
			if !strings.HasPrefix(strings.TrimPrefix(string(got), "HTTP/1.1 "), c.says) {
				t.Errorf("%s: %q, want %s", c.what, got, c.says)
			}
			conn.Close()
			s.Close()
		})
	}
}

// Who does not read what it asked for holds nothing for longer than one write takes.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s, e := newPipes(), New(Config{}), endless{make(chan error, 1)}
		s.Mount(Admin, "/endless", e)
		if err := s.Serve(l); err != nil {
			t.Fatal(err)
		}
		conn, begun := l.dial("127.0.0.1:9"), time.Now()
		_, _ = io.WriteString(conn, "GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
		// It reads for a while, slowly, and then no more.
		r := bufio.NewReader(conn)
		for range 100 {
			if _, err := io.ReadFull(r, make([]byte, 4096)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		err := <-e.failed
		if took := time.Since(begun); took < 900*time.Second || took > 1000*time.Second+2*writeTimeout {
			t.Errorf("cut after %v: %v", took, err)
		}
		conn.Close()
		s.Close()
	})
}

// Connections beyond the bound are closed at once, and a place that is given back is
// another's.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := newPipes(), New(Config{MaxConns: 5, MaxConnsPerAddr: 2})
		s.Mount(Public, "/page", page("page"))
		if err := s.Serve(l); err != nil {
			t.Fatal(err)
		}
		open := func(addr string) (net.Conn, bool) {
			conn := l.dial(addr)
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			_, err := io.WriteString(conn, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
			if err == nil {
				_, err = http.ReadResponse(bufio.NewReader(conn), nil)
			}
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("from %s: %v", addr, err)
			}
			return conn, err == nil
		}
		var first net.Conn
		for i, c := range []struct {
			from string
			ok   bool
		}{
			{"192.0.2.1:1", true},
			{"192.0.2.1:2", true},
			{"192.0.2.1:3", false}, // a third of one address
			{"[::ffff:192.0.2.1]:4", false},
			{"[2001:db8::1]:1", true},
			{"[2001:db8::2]:2", true},
			{"[2001:db8::3]:3", false}, // of one /64
			{"127.0.0.1:1", true},
			{"127.0.0.1:2", false}, // a sixth in all
		} {
			conn, ok := open(c.from)
			if ok != c.ok {
				t.Errorf("%d, from %s: %v", i, c.from, ok)
			}
			if i == 0 {
				first = conn
			} else {
				defer conn.Close()
			}
		}
		first.Close()
		synctest.Wait()
		conn, ok := open("192.0.2.1:9")
		if !ok {
			t.Error("a place that was given back is nobody's")
		}
		conn.Close()
		s.Close()
	})
}

// A node that hangs is told from one that lives, and is asked once however many ask.
func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := newPipes(), New(Config{})
		let := make(chan struct{})
		var touched, looked atomic.Int64
		s.Mount(Probe, "GET /healthz", Alive(func() { touched.Add(1); <-let }))
		s.Mount(Probe, "GET /readyz", Ready(func() (bool, string) { second := looked.Add(1) == 2; <-let; return second, "as it is" }))
		if err := s.Serve(l); err != nil {
			t.Fatal(err)
		}
		status := func(path string) int {
			conn := l.dial("127.0.0.1:9")
			defer conn.Close()
			_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Error(err)
				return 0
			}
			return resp.StatusCode
		}
		for range 3 {
			for _, path := range []string{"/healthz", "/readyz"} {
				if got := status(path); got != 503 {
					t.Errorf("%s of a node that hangs: %d", path, got)
				}
			}
		}
		if touched.Load() != 1 || looked.Load() != 1 {
			t.Errorf("asked %d and %d times", touched.Load(), looked.Load())
		}
		close(let)
		synctest.Wait()
		for _, path := range []string{"/healthz", "/readyz"} {
			if got := status(path); got != 200 {
				t.Errorf("%s of a node that lives: %d", path, got)
			}
		}
		if got := status("/readyz"); got != 503 {
			t.Errorf("a node that is not ready: %d", got)
		}
		s.Close()
	})
}
