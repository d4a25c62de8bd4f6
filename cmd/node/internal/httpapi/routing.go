package httpapi

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/boxo/routing/http/server"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/cors"
	"golang.org/x/time/rate"
)

// RoutingPath is where Routing is to be mounted, as Public.
const RoutingPath = "/routing/v1/"

const (
	// maxSearches bounds the requests to the overlay under way: a node has 4 to 128 for
	// all that it does.
	maxSearches = 64
	// clientSearches is how many of them are one client's of another machine at most.
	clientSearches = 8
	// clientRate and clientBurst are what one address of another machine may ask a
	// second, and at once; maxClients how many addresses are remembered.
	clientRate  = 20
	clientBurst = 100
	maxClients  = 4096
	// maxRecords bounds an answer, maxStreamed one that is told as it is found.
	maxRecords  = 100
	maxStreamed = 500
	// searchTimeout bounds one request.
	searchTimeout = 30 * time.Second
	// retryAfter is what who is refused for being too many is told to wait, in seconds.
	retryAfter = 1
	// maxAge is how long a browser may remember that it may ask.
	maxAge = 24 * time.Hour
)

// Routing answers as the delegated routing API says (Delegated Routing V1 HTTP API,
// https://specs.ipfs.tech/routing/http-routing-v1/), for pages of any origin.
func Routing(node Overlay) http.Handler {
	h := server.Handler(
		delegate{node},
		server.WithRecordsLimit(maxRecords), server.WithStreamingRecordsLimit(maxStreamed), server.WithRoutingTimeout(searchTimeout),
		server.WithPrometheusRegistry(prometheus.NewRegistry()), // its names are not ours; Requests counts
	)
	open := cors.New(cors.Options{
		AllowedOrigins: []string{"*"},
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPut},
		AllowedHeaders: []string{"Accept", "Content-Type", "If-None-Match"},
		ExposedHeaders: []string{"Etag", "Expires", "Last-Modified", "Retry-After"},
		MaxAge:         int(maxAge / time.Second),
	})
	return open.Handler(newTurnstile().over(verdicts(h)))
}

// verdicts has h's errors answered with the status that goes with them.
func verdicts(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		v := &verdict{}
		h.ServeHTTP(&ruled{ResponseWriter: w, verdict: v}, r.WithContext(context.WithValue(r.Context(), verdictKey{}, v)))
	})
}

// ruled is a ResponseWriter that says 500 only where nothing better is known, and
// errors in one line.
type ruled struct {
	http.ResponseWriter
	verdict *verdict
	failed  bool
}

func (r *ruled) WriteHeader(status int) {
	if status == http.StatusInternalServerError && r.verdict.status != 0 {
		status = r.verdict.status
	}
	if r.failed = status >= 400; r.failed {
		r.Header().Set("Content-Type", "text/plain; charset=utf-8")
		r.Header().Set("Cache-Control", "no-store")
	}
	if status == http.StatusServiceUnavailable {
		r.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *ruled) Write(b []byte) (int, error) {
	if !r.failed {
		return r.ResponseWriter.Write(b)
	}
	line := strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", ": ")
	if _, err := io.WriteString(r.ResponseWriter, control.Clean(line)+"\n"); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flush implements http.Flusher, which boxo looks for.
func (r *ruled) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// Unwrap is what http.ResponseController looks for.
func (r *ruled) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// turnstile lets so many through at a time, so many of them of each client, and so many of
// each client a second.
//
// Invariant: inside has those alone that hold a place, so it is no longer than places.
type turnstile struct {
	places chan struct{}

	mu      sync.Mutex
	clients map[netip.Prefix]*rate.Limiter
	inside  map[netip.Prefix]int
}

func newTurnstile() *turnstile {
	return &turnstile{places: make(chan struct{}, maxSearches), clients: make(map[netip.Prefix]*rate.Limiter), inside: make(map[netip.Prefix]int)}
}

func (t *turnstile) over(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := client(r.RemoteAddr)
		if !t.admits(from, time.Now()) {
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
			Refuse(w, http.StatusTooManyRequests, "more than %d requests a second from one address: ask more slowly", clientRate)
			return
		}
		select {
		case t.places <- struct{}{}:
			defer func() { <-t.places }()
			if !t.enter(from) {
				w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
				Refuse(w, http.StatusTooManyRequests, "%d requests from this address are under way, as many as one may have: ask again when they are answered", clientSearches)
				return
			}
			defer t.leave(from)
			h.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
			Refuse(w, http.StatusServiceUnavailable, "%d requests are under way, as many as this node answers at a time: ask again in a moment", maxSearches)
		}
	})
}

// enter counts one more request under way of a client, unless it has its share.
func (t *turnstile) enter(from netip.Prefix) bool {
	if !from.IsValid() {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside[from] >= clientSearches {
		return false
	}
	t.inside[from]++
	return true
}

// leave takes back what enter has counted.
func (t *turnstile) leave(from netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside[from]--; t.inside[from] <= 0 {
		delete(t.inside, from)
	}
}

// admits reports whether a client may ask now. This machine always may: what asks
// from there may be a proxy, behind which are many.
func (t *turnstile) admits(from netip.Prefix, now time.Time) bool {
	if !from.IsValid() {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.clients[from]
	if l == nil {
		t.makeRoom(now)
		l = rate.NewLimiter(clientRate, clientBurst)
		t.clients[from] = l
	}
	return l.AllowN(now, 1)
}

// makeRoom forgets those that have not asked lately, of whom nothing is lost, or else
// any: then so many ask that maxSearches bounds them all.
func (t *turnstile) makeRoom(now time.Time) {
	if len(t.clients) < maxClients {
		return
	}
	for from, l := range t.clients {
		if l.TokensAt(now) >= clientBurst {
			delete(t.clients, from)
		}
	}
	for from := range t.clients {
		if len(t.clients) < maxClients {
			return
		}
		delete(t.clients, from)
	}
}
