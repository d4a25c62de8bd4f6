package httpapi

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/protocol"
)

const (
	// maxPublicBody is more than an IPNS record may have (10 KiB), maxAdminBody the
	// largest value that fits a message, in base64, and its key.
	maxPublicBody = 16 << 10
	maxAdminBody  = protocol.MaxFrame/3*4 + 64<<10
	// bodyTimeout bounds the arrival of a body, writeTimeout the departure of each
	// piece of an answer. Of a body that is refused, drainTimeout bounds what net/http
	// reads before it answers.
	bodyTimeout  = 15 * time.Second
	writeTimeout = 15 * time.Second
	drainTimeout = time.Second

	defaultConns        = 1024
	defaultConnsPerAddr = 128
)

var logger = logging.Logger("kdht/http")

// Refuse answers with a status and one line that says what to do next, and is done
// with the request.
func Refuse(w http.ResponseWriter, status int, format string, args ...any) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTimeout))
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, control.Clean(fmt.Sprintf(format, args...))+"\n")
}

// protect sets what browsers are to know of an answer for the operator; who answers
// may set other values.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// serve answers one request. A handler that panics costs its own answer only.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { // how a handler cuts its own answer
				logger.Errorf("BUG: %s %s: %v\n%s", r.Method, r.URL.Path, p, debug.Stack())
			}
			panic(http.ErrAbortHandler)
		}
	}()
	t := &timely{ResponseWriter: w, conn: http.NewResponseController(w)}
	if r.ContentLength != 0 { // whoever reads it, net/http itself if nobody does
		_ = t.conn.SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	s.mux.ServeHTTP(t, r)
	t.begin() // what is still buffered leaves now
}

// timely is a ResponseWriter whose every write has a deadline of its own: an answer
// may take as long as it likes, a reader that has stopped may not.
type timely struct {
	http.ResponseWriter
	conn *http.ResponseController
	said int // the status, 0 for that of who says none
}

// WriteHeader implements http.ResponseWriter.
func (t *timely) WriteHeader(status int) {
	if t.said == 0 && status >= 200 {
		t.said = status
	}
	t.ResponseWriter.WriteHeader(status)
}

func (t *timely) status() int { return cmp.Or(t.said, http.StatusOK) }

// begin gives what is written next its time.
func (t *timely) begin() { _ = t.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) }

func (t *timely) Write(b []byte) (int, error) {
	t.begin()
	return t.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (t *timely) Flush() { _ = t.FlushError() }

// FlushError is what http.ResponseController looks for.
func (t *timely) FlushError() error {
	t.begin()
	return t.conn.Flush()
}

// Unwrap is what http.ResponseController looks for.
func (t *timely) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// whole reads a request's body, which may have so many bytes, before h is called, so
// that a slow sender holds nothing but its connection.
func whole(limit int64, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.ContentLength == 0 {
			h.ServeHTTP(w, r)
			return
		}
		if r.ContentLength > limit {
			w.Header().Set("Connection", "close")
			Refuse(w, http.StatusRequestEntityTooLarge, "the request has %d bytes, at most %d are taken: send less", r.ContentLength, limit)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			Refuse(w, http.StatusRequestEntityTooLarge, "the request has more than %d bytes: send less", limit)
		case err != nil:
			w.Header().Set("Connection", "close")
			Refuse(w, http.StatusRequestTimeout, "the request did not arrive within %v: send it again", bodyTimeout)
		default:
			// A deadline that passes during the answer would call it off.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			h.ServeHTTP(w, r)
		}
	})
}

// limited is a listener whose connections are bounded: what comes beyond is closed
// at once, so that who waits is told, and nothing waits for those that say nothing.
type limited struct {
	net.Listener
	most, mostPerAddr int

	mu     sync.Mutex
	open   int
	byAddr map[netip.Prefix]int // addresses of other machines with connections
}

func bounded(l net.Listener, most, mostPerAddr int) net.Listener {
	return &limited{
		Listener: l, most: cmp.Or(most, defaultConns), mostPerAddr: cmp.Or(mostPerAddr, defaultConnsPerAddr),
		byAddr: make(map[netip.Prefix]int),
	}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := client(c.RemoteAddr().String())
		if l.take(from) {
			return &counted{Conn: c, give: sync.OnceFunc(func() { l.give(from) })}, nil
		}
		_ = c.Close()
	}
}

// client is whom connections from a remote address are counted for: its IPv4 address
// or IPv6 /64. It is the zero prefix for this machine.
func client(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	ip := at.Addr().Unmap().WithZone("")
	if err != nil || ip.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits) // never fails with these
	return p
}

func (l *limited) take(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.most || from.IsValid() && l.byAddr[from] >= l.mostPerAddr {
		return false
	}
	l.open++
	if from.IsValid() {
		l.byAddr[from]++
	}
	return true
}

func (l *limited) give(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if !from.IsValid() {
		return
	}
	if l.byAddr[from]--; l.byAddr[from] == 0 {
		delete(l.byAddr, from)
	}
}

// counted is a connection that gives its place back.
type counted struct {
	net.Conn
	give func()
}

func (c *counted) Close() error {
	c.give()
	return c.Conn.Close()
}
