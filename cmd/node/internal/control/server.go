package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/kdht/kdht/protocol"
)

const (
	// maxRequest bounds a request in bytes: the largest value that fits a message,
	// in base64, and its key.
	maxRequest = protocol.MaxFrame/3*4 + 64<<10
	// maxAtOnce bounds the operations under way.
	maxAtOnce = 64
	// maxTimeout bounds one operation.
	maxTimeout = 10 * time.Minute
	// requestTimeout bounds the arrival of a request, writeTimeout the departure of
	// one line: a caller that does not read gives its place up.
	requestTimeout = 10 * time.Second
	writeTimeout   = 10 * time.Second
	idleTimeout    = time.Minute
	// closeTimeout is how long Close waits for operations under way.
	closeTimeout = 500 * time.Millisecond
	// timeoutHeader says how long the operation may take, as Go writes durations.
	timeoutHeader = "Kdht-Timeout"
)

// Server offers a Node on a listener until it is closed.
type Server struct {
	http  http.Server
	slots chan struct{}
	done  chan struct{}
	stop  context.CancelFunc
}

// Serve starts to serve n on l.
func Serve(l net.Listener, n Node) *Server {
	s := &Server{slots: make(chan struct{}, maxAtOnce), done: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.http = http.Server{
		Handler:           s.routes(n),
		ReadHeaderTimeout: requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // it ends with Close
	}()
	return s
}

// Close calls off what is under way and removes the socket.
func (s *Server) Close() error {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}

func (s *Server) routes(n Node) http.Handler {
	mux := http.NewServeMux()
	handle(s, mux, "status", func(ctx context.Context, _ struct{}, _ Watch) (*Status, error) { return n.Status(ctx) })
	handle(s, mux, "table", func(ctx context.Context, _ struct{}, _ Watch) (*Table, error) { return n.Table(ctx) })
	handle(s, mux, "put", n.Put)
	handle(s, mux, "get", n.Get)
	handle(s, mux, "provide", n.Provide)
	handle(s, mux, "find-providers", n.FindProviders)
	handle(s, mux, "find-peer", n.FindPeer)
	handle(s, mux, "closest", n.Closest)
	handle(s, mux, "ping", n.Ping)
	handle(s, mux, "throttle", func(ctx context.Context, r ThrottleRequest, _ Watch) (*Throttle, error) { return n.Throttle(ctx, r) })
	handle(s, mux, "set-throttle", func(ctx context.Context, r SetThrottleRequest, _ Watch) (*Throttle, error) {
		return n.SetThrottle(ctx, r)
	})
	handle(s, mux, "release", func(ctx context.Context, r ReleaseRequest, _ Watch) (*Released, error) { return n.Release(ctx, r) })
	s.keeperRoutes(mux, n)
	s.operatorRoutes(mux, n)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		newLines(w).send(line{Error: Errorf(Usage, "this node knows no operation %q: is it of another version?", r.URL.Path)})
	})
	return mux
}

// handle routes one operation.
func handle[Req, Res any](s *Server, mux *http.ServeMux, name string, op func(context.Context, Req, Watch) (Res, error)) {
	mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
		out := newLines(w)
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			out.send(line{Error: Errorf(Failed, "the node has %d operations under way: try again when some are done", maxAtOnce)})
			return
		}
		var req Req
		if err := readRequest(w, r, &req); err != nil {
			out.send(line{Error: err})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout(r))
		defer cancel()
		res, err := op(ctx, req, func(e Event) { out.send(line{Event: &e}) })
		if err != nil {
			e := AsError(err)
			if e.Kind == Interrupted { // not by the caller, who no longer listens then
				e = Errorf(Failed, "the node ended before this was done")
			}
			out.send(line{Error: e})
			return
		}
		out.send(line{Result: res})
	})
}

// readRequest reads the one JSON object of a request.
func readRequest(w http.ResponseWriter, r *http.Request, req any) *Error {
	// Lifted again, for a deadline that passes during the operation would call it off.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(requestTimeout))
	defer conn.SetReadDeadline(time.Time{})
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	err := d.Decode(req)
	if err == nil {
		// What follows is read to its end, so that the caller's leaving is noticed.
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		return Errorf(Usage, "the request is more than one JSON object")
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return Errorf(Usage, "the request has more than %d bytes: store less, or provide it instead", maxRequest)
	}
	return Errorf(Usage, "the request does not parse (%v): is the node of another version?", err)
}

func timeout(r *http.Request) time.Duration {
	d, err := time.ParseDuration(r.Header.Get(timeoutHeader))
	if err != nil || d <= 0 || d > maxTimeout {
		return maxTimeout
	}
	return d
}

// line is one line of an answer: exactly one field is set.
type line struct {
	Event  *Event `json:"event,omitempty"`
	Result any    `json:"result,omitempty"`
	Error  *Error `json:"error,omitempty"`
}

// lines writes an answer.
type lines struct {
	control *http.ResponseController

	mu   sync.Mutex
	json *json.Encoder
	dead bool
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return &lines{control: http.NewResponseController(w), json: json.NewEncoder(w)}
}

// send writes one line; after the first that fails there are no more.
func (l *lines) send(what line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err := l.json.Encode(what); err != nil {
		l.dead = true
		return
	}
	l.dead = l.control.Flush() != nil
}
