// Package httpapi is a node's HTTP server: one port with three surfaces, which
// differ in who may ask.
//
//	s := httpapi.New(httpapi.Config{Token: token})
//	s.Mount(httpapi.Public, "/routing/v1/", routes)  // anybody, any web page
//	s.Mount(httpapi.Probe, "/healthz", healthy)      // who asks this very host: no token
//	s.Mount(httpapi.Admin, "/", dashboard)           // its operator
//	s.Serve(listener)
//
// A web page that its reader did not mean to give the node to can reach it in two
// ways: under a name of its own that it lets point here (DNS rebinding), which the
// Host header gives away, and from its own origin, which Origin and Sec-Fetch-Site
// do. Probe and Admin refuse both. Admin wants a token besides, unless the server
// listens on loopback and was given none.
//
// The invariant: what is mounted as Admin runs for nobody else; and whatever a
// client sends, or leaves unread, it costs one connection out of a bounded number, a
// body that fits its surface, and bounded time.
package httpapi

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Surface says who may ask.
type Surface int

// The surfaces.
const (
	// Public is for everybody, web pages of any origin too: what is mounted there
	// bounds itself what it does for whom.
	Public Surface = iota
	// Probe is for who asks the host by a name of its own, with no token: what is
	// mounted there tells nothing that matters.
	Probe
	// Admin is for the node's operator.
	Admin
)

// Config says whom a server serves.
type Config struct {
	// Token is what the operator shows. Without one the server must listen on
	// loopback, and everybody on this machine is the operator.
	Token string
	// TokenFile is where Token is kept, for who is asked for it.
	TokenFile string
	// Hosts are names that the server is asked by besides its addresses and localhost.
	Hosts []string
	// MaxConns bounds the connections (0: 1,024), and MaxConnsPerAddr those from one
	// address of another machine (0: 128).
	MaxConns, MaxConnsPerAddr int
	// Count is told each request that was answered (nil: nobody).
	Count func(s Surface, status int)
}

const (
	// headerTimeout bounds the arrival of a request's header, idleTimeout the silence
	// between two requests.
	headerTimeout = 10 * time.Second
	idleTimeout   = time.Minute
	maxHeader     = 16 << 10
	// closeTimeout is how long Close waits for answers under way.
	closeTimeout = 500 * time.Millisecond
)

// Server serves what is mounted until it is closed.
type Server struct {
	cfg   Config
	guard guard
	mux   *http.ServeMux
	root  bool // whether something is mounted for every path
	http  http.Server
	stop  context.CancelFunc

	mu      sync.Mutex
	serving bool
	done    chan struct{}
}

// New returns a server that does not serve yet.
func New(cfg Config) *Server {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{cfg: cfg, mux: http.NewServeMux(), stop: stop, done: make(chan struct{})}
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(io.Discard, "", 0), // of connections that end early
	}
	return s
}

// Mount has h answer what a pattern of http.ServeMux matches, for those whom the
// surface admits. It is called before Serve. h finds bodies read already, and is to
// write as if its reader were quick: a write that takes too long fails.
func (s *Server) Mount(surface Surface, pattern string, h http.Handler) {
	s.root = s.root || pattern == "/" || pattern == "GET /"
	limit := int64(maxPublicBody)
	if surface == Admin {
		limit = maxAdminBody
	}
	s.mux.Handle(pattern, s.counted(surface, s.guard.over(surface, whole(limit, h))))
}

// counted has what h answers counted.
func (s *Server) counted(surface Surface, h http.Handler) http.Handler {
	if s.cfg.Count == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if t, ok := w.(*timely); ok {
				s.cfg.Count(surface, t.status())
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// Serve starts to serve on l, which Close closes. On any address that is not
// loopback it wants a Config.Token.
func (s *Server) Serve(l net.Listener) error {
	if err := s.guard.begin(&s.cfg, l.Addr()); err != nil {
		l.Close()
		return err
	}
	if !s.root {
		s.Mount(Admin, "/", http.HandlerFunc(notHere))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = true
	go func() {
		defer close(s.done)
		_ = s.http.Serve(bounded(l, s.cfg.MaxConns, s.cfg.MaxConnsPerAddr)) // it ends with Close
	}()
	return nil
}

// notHere answers for paths that nothing is mounted at.
func notHere(w http.ResponseWriter, _ *http.Request) {
	Refuse(w, http.StatusNotFound, "there is nothing at this path: see /healthz, /readyz, /metrics and /routing/v1/")
}

// Close ends every answer and closes the listener.
func (s *Server) Close() error {
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	if s.serving {
		<-s.done
	}
	return err
}
