package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

const (
	// maxReaders is how many pages may be open at a time, maxBehind how many events may
	// wait for one of them: more, and it is cut off.
	maxReaders = 16
	maxBehind  = 64
	// maxEvent bounds one event in bytes. Rows are bounded so that none comes near.
	maxEvent = 1 << 20
)

var errFull = errors.New("too many pages are open")

// event is one server-sent event, as it is written. Readers share its bytes.
type event []byte

// newEvent makes one; nil if it is too large to be told.
func newEvent(name string, what any) event {
	body, err := json.Marshal(what)
	if err != nil || len(body) > maxEvent {
		return nil
	}
	e := make(event, 0, len(name)+len(body)+16)
	e = append(append(e, "event: "...), name...)
	e = append(append(e, "\ndata: "...), body...)
	return append(e, '\n', '\n')
}

// reader is one open page. events is closed when the reader is cut off.
type reader struct {
	events chan event
}

// hub passes what a collector finds to the readers.
//
// Invariant: collect runs while there are readers, once, and at no other time.
type hub struct {
	collect func(context.Context) // returns soon after its context ends
	hello   func() []event        // called with mu held

	mu      sync.Mutex
	readers map[*reader]bool
	stop    context.CancelFunc // of collect, nil if it does not run
	done    chan struct{}      // closed when the last collect has ended; nil if there was none
	last    map[string]event   // by name, what a new reader is told first
	closed  bool
}

// join adds a reader and returns what it is to be told first.
func (h *hub) join() (*reader, []event, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.readers) >= maxReaders {
		return nil, nil, errFull
	}
	r := &reader{events: make(chan event, maxBehind)}
	h.readers[r] = true
	if h.stop == nil {
		h.start()
	}
	return r, h.hello(), nil
}

// start runs collect, after the one before has ended.
func (h *hub) start() {
	ctx, stop := context.WithCancel(context.Background())
	before, done := h.done, make(chan struct{})
	h.stop, h.done = stop, done
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		h.collect(ctx)
	}()
}

// leave takes a reader out.
func (h *hub) leave(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut(r)
}

func (h *hub) cut(r *reader) {
	if !h.readers[r] {
		return
	}
	delete(h.readers, r)
	close(r.events)
	if len(h.readers) == 0 {
		h.stop()
		h.stop = nil
		clear(h.last) // it will be old
	}
}

// tell gives an event to all readers; those that are too far behind are cut off.
func (h *hub) tell(e event) {
	if e == nil {
		return
	}
	for r := range h.readers {
		select {
		case r.events <- e:
		default:
			h.cut(r)
		}
	}
}

// say tells what make returns, which no reader that joins meanwhile misses or hears twice.
func (h *hub) say(make func() event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tell(make())
}

// update tells what has changed since it was last told, and new readers in any case.
func (h *hub) update(name string, what any) {
	e := newEvent(name, what)
	h.mu.Lock()
	defer h.mu.Unlock()
	if e == nil || len(h.readers) == 0 || string(h.last[name]) == string(e) {
		return
	}
	h.last[name] = e
	h.tell(e)
}

// close cuts all readers off and waits for collect to end.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	for r := range h.readers {
		h.cut(r)
	}
	done := h.done
	h.mu.Unlock()
	if done != nil {
		<-done
	}
}

// rest waits, and reports whether ctx goes on.
func rest(ctx context.Context, tick <-chan time.Time) bool {
	select {
	case <-tick:
		return true
	case <-ctx.Done():
		return false
	}
}
