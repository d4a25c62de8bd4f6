package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	"github.com/kdht/kdht/protocol"
)

const (
	// header must be there with every request that changes something: a page of another
	// site cannot send one of its own making unasked.
	header = "Kdht-Dashboard"
	// maxBody bounds a request, opTimeout an operation, maxAtOnce those under way.
	maxBody   = protocol.MaxValue*2 + 64<<10
	opTimeout = time.Minute
	maxAtOnce = 8
	// writeTimeout bounds the departure of one event: who reads slower is cut off.
	writeTimeout = 10 * time.Second
)

// Dashboard is the page's handler. Close it when nobody asks any more.
type Dashboard struct {
	source  Source
	hub     *hub
	collect *collector
	slots   chan struct{}
	mux     *http.ServeMux
}

var _ http.Handler = (*Dashboard)(nil)

// New returns the dashboard of a node.
func New(s Source) *Dashboard {
	d := &Dashboard{source: s, slots: make(chan struct{}, maxAtOnce), mux: http.NewServeMux()}
	d.hub = &hub{readers: make(map[*reader]bool), last: make(map[string]event)}
	d.collect = &collector{source: s, hub: d.hub, lookups: newRecorder()}
	d.hub.collect, d.hub.hello = d.collect.collect, d.hello
	d.mux.HandleFunc("GET /api/events", d.events)
	d.operations()
	d.assets()
	return d
}

// Close cuts all readers off.
func (d *Dashboard) Close() error {
	d.hub.close()
	return nil
}

// ServeHTTP implements http.Handler.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// hello is what a new reader is told first: what explains the rest, what was last told, and
// the charts and lookups until now.
func (d *Dashboard) hello() []event {
	c := d.collect
	all := []event{newEvent("hello", map[string]any{"terms": d.source.Terms(), "points": c.traffic.points, "samples": d.source.SizeSamples()})}
	for _, name := range []string{"status", "table", "traffic", "throttle", "peers", "records"} {
		all = append(all, d.hub.last[name])
	}
	for _, l := range c.lookups.told() {
		all = append(all, newEvent("lookups", []lookupView{l}))
	}
	return all
}

// events is the stream that the page lives on.
func (d *Dashboard) events(w http.ResponseWriter, r *http.Request) {
	reader, first, err := d.hub.join()
	if err != nil {
		w.Header().Set("Retry-After", "30")
		refuse(w, http.StatusServiceUnavailable, control.Errorf(control.Failed, "%d pages of this dashboard are open already: close one", maxReaders))
		return
	}
	defer d.hub.leave(reader)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	conn := http.NewResponseController(w)
	send := func(e event) bool {
		_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := w.Write(e)
		return err == nil && conn.Flush() == nil
	}
	for _, e := range first {
		if e != nil && !send(e) {
			return
		}
	}
	for {
		select {
		case e, more := <-reader.events:
			if !more || !send(e) {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// operations routes what changes something.
func (d *Dashboard) operations() {
	s := d.source
	handle(d, "put", func(ctx context.Context, r putRequest) (any, error) {
		key, err := optionalKey(r.Key)
		if err != nil {
			return nil, err
		}
		stored, err := s.Put(ctx, control.PutRequest{Key: key, Value: []byte(r.Value), Mut: r.Mut, Republish: r.Republish}, nil)
		if err != nil {
			return nil, err
		}
		return map[string]any{"key": input.ShowKey(stored.Key), "report": stored.Report}, nil
	})
	handle(d, "get", func(ctx context.Context, r keyRequest) (any, error) {
		key, err := input.Key(r.Key)
		if err != nil {
			return nil, err
		}
		return s.Get(ctx, control.GetRequest{Key: key}, nil)
	})
	handle(d, "provide", func(ctx context.Context, r keyRequest) (any, error) {
		return s.Provide(ctx, control.ProvideRequest{CID: r.Key}, nil)
	})
	handle(d, "find-providers", func(ctx context.Context, r keyRequest) (any, error) {
		found := []control.Peer{}
		done, err := s.FindProviders(ctx, control.ProvidersRequest{CID: r.Key, Count: maxFound}, func(e control.Event) {
			if e.Provider != nil && len(found) < maxFound {
				found = append(found, *e.Provider)
			}
		})
		if err != nil {
			return nil, err
		}
		return map[string]any{"providers": found, "report": done.Report}, nil
	})
	handle(d, "find-peer", func(ctx context.Context, r keyRequest) (any, error) {
		return s.FindPeer(ctx, control.PeerRequest{ID: r.Key}, nil)
	})
	handle(d, "closest", func(ctx context.Context, r keyRequest) (any, error) {
		key, err := input.Target(r.Key)
		if err != nil {
			return nil, err
		}
		return s.Closest(ctx, control.ClosestRequest{Key: key}, nil)
	})
	handle(d, "release", func(ctx context.Context, r keyRequest) (any, error) {
		return s.Release(ctx, control.ReleaseRequest{Who: r.Key})
	})
}

// maxFound is how many providers are shown.
const maxFound = 50

// keyRequest names what an operation is about: a key, a CID, a peer or a subnet.
type keyRequest struct {
	Key string `json:"key"`
}

// putRequest is control.PutRequest as people write it.
type putRequest struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Mut       string `json:"mut"`
	Republish bool   `json:"republish"`
}

func optionalKey(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	return input.Key(text)
}

// handle routes one operation.
func handle[Req any](d *Dashboard, name string, op func(context.Context, Req) (any, error)) {
	d.mux.HandleFunc("POST /api/"+name, func(w http.ResponseWriter, r *http.Request) {
		var req Req
		if status, err := check(w, r, &req); err != nil {
			refuse(w, status, err)
			return
		}
		select {
		case d.slots <- struct{}{}:
			defer func() { <-d.slots }()
		default:
			refuse(w, http.StatusServiceUnavailable, control.Errorf(control.Failed, "%d operations of this page are under way: try again when one is done", maxAtOnce))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), opTimeout)
		defer cancel()
		result, err := op(ctx, req)
		if err != nil {
			e := control.AsError(err)
			refuse(w, statusOf(e.Kind), e)
			return
		}
		answer(w, http.StatusOK, result)
	})
}

// check reads a request that changes something and returns why it is refused.
func check(w http.ResponseWriter, r *http.Request, req any) (int, *control.Error) {
	if r.Header.Get(header) == "" {
		return http.StatusForbidden, control.Errorf(control.Usage, "only the dashboard's own page may ask this: other programs use `kdht`, or send the header %s: 1", header)
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return http.StatusUnsupportedMediaType, control.Errorf(control.Usage, "the request is no JSON: send it as application/json")
	}
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	body.DisallowUnknownFields()
	err := body.Decode(req)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, control.Errorf(control.Usage, "the request has more than %d bytes: store less, or use `kdht put`", maxBody)
	case err == nil:
		if _, err = body.Token(); errors.Is(err, io.EOF) {
			return 0, nil
		}
	}
	return http.StatusBadRequest, control.Errorf(control.Usage, "the request does not parse: load the page again, which may be of another version")
}

// statusOf is what HTTP calls a kind of error.
func statusOf(k control.Kind) int {
	switch k {
	case control.Usage:
		return http.StatusBadRequest
	case control.NotFound:
		return http.StatusNotFound
	case control.Timeout:
		return http.StatusGatewayTimeout
	case control.NoPeers:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func refuse(w http.ResponseWriter, status int, e *control.Error) {
	answer(w, status, map[string]any{"error": e})
}

func answer(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what) // who has left is not told
}
