package routing

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

const (
	// restPatience is how long the rest of a store may go on after its caller has: what
	// has not been taken by then is put again when its time comes.
	restPatience = time.Minute
	// restFarewell is how long Close waits for such rests.
	restFarewell = 500 * time.Millisecond
)

type (
	finalKey    struct{}
	thoroughKey struct{}
)

// WithFinalReport returns a context under which the next PutValue or Provide tells told,
// once, what has become of it in the end: it returns as soon as half of the k nearest peers
// hold the record, and the others are given it meanwhile, for a minute at most. The error is
// nil if anybody holds it. told may be called before the operation returns and must not wait
// for it.
func WithFinalReport(ctx context.Context, told func(Report, error)) context.Context {
	return context.WithValue(ctx, finalKey{}, told)
}

// FinalReport returns what WithFinalReport was given, nil if nothing. It is for routers that
// put several operations together.
func FinalReport(ctx context.Context) func(Report, error) {
	told, _ := ctx.Value(finalKey{}).(func(Report, error))
	return told
}

// Thorough returns a context under which PutValue and Provide return when all of the k
// nearest live peers hold the record, and not when half of them do.
func Thorough(ctx context.Context) context.Context {
	return context.WithValue(ctx, thoroughKey{}, true)
}

// storing is one PutValue or Provide: what its caller is told, and who is told the rest.
//
// Invariant: final is called once, by end or when the rest is over.
type storing struct {
	dht   *DHT
	final func(Report, error) // nil: nobody
	rest  bool                // it goes on after the caller
	last  Report
}

func (d *DHT) storing(ctx context.Context) *storing {
	FillReport(ctx, Report{})
	return &storing{dht: d, final: FinalReport(ctx)}
}

// end tells what has become of a store that has no rest.
func (s *storing) end(err *error) {
	if !s.rest && s.final != nil {
		s.final(s.last, *err)
	}
}

// run starts a query that stores something under key, and returns when half of the nearest
// hold it, or when it ends. If ctx ends before, so does the query; afterwards it goes
// on by itself.
func (s *storing) run(ctx context.Context, kind OperationKind, key []byte, start starter) error {
	traced := s.dht.beginTraced(ctx, kind, key)
	err := s.runTraced(ctx, traced, key, start)
	if !s.rest {
		traced.end(ctx, s.last, err)
	}
	return err
}

func (s *storing) runTraced(ctx context.Context, traced *traced, key []byte, start starter) error {
	d := s.dht
	if err := d.turns.take(ctx, d.closing); err != nil {
		return err
	}
	within, cancel := d.within(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel) // events that nobody takes hold up nobody for longer
	defer stop()
	op := d.operation(within, key)
	op.traced = traced
	half := make(chan kademlia.Result, 1)
	if thorough, _ := ctx.Value(thoroughKey{}).(bool); !thorough {
		start = untilHalf(start, half)
	}
	if err := op.post(start); err != nil {
		cancel()
		return err
	}
	r, err := op.await(ctx.Done(), half)
	s.last = r.Report
	FillReport(ctx, r.Report)
	stop()
	if r.Report.Partial && d.follow(op, r.Report, s.final, cancel) {
		s.rest = true
		return nil
	}
	cancel()
	return outcome(ctx, d.explained(err))
}

// untilHalf is start, whose result so far goes to half as soon as half of the nearest hold
// what it stores.
func untilHalf(start starter, half chan<- kademlia.Result) starter {
	return func(now time.Time, n *kademlia.Node, op *operation, done func(time.Time, kademlia.Result)) kademlia.QueryID {
		id := start(now, n, op, done)
		n.WhenHalf(id, func(_ time.Time, r kademlia.Result) { half <- r })
		return id
	}
}

// follow waits for the rest of op, of which half has been done, on a goroutine of its own;
// false if the DHT is closed.
func (d *DHT) follow(op *operation, half Report, final func(Report, error), cancel context.CancelFunc) bool {
	return d.rests.begin(d, func() {
		defer cancel()
		defer time.AfterFunc(restPatience, cancel).Stop()
		r, err := op.await(op.ctx.Done(), nil)
		switch {
		case errors.Is(err, ErrClosed):
			r.Report, err = half, nil // what is known of it
		case errors.Is(err, kademlia.ErrCanceled):
			err = nil // some hold it
		}
		op.traced.end(op.ctx, r.Report, err)
		if final != nil {
			final(r.Report, err)
		}
	})
}

// rests counts what goes on after its callers.
type rests struct {
	mu    sync.Mutex
	count int
	none  chan struct{} // closed when there is none any more; nil if nobody waits
}

// begin runs f as one of d's goroutines.
func (r *rests) begin(d *DHT, f func()) bool {
	r.mu.Lock()
	r.count++
	r.mu.Unlock()
	started := d.spawn(func() {
		defer r.end()
		f()
	})
	if !started {
		r.end()
	}
	return started
}

func (r *rests) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count--; r.count == 0 && r.none != nil {
		close(r.none)
		r.none = nil
	}
}

// wait waits until there is none, restFarewell at most.
func (r *rests) wait() {
	r.mu.Lock()
	if r.count == 0 {
		r.mu.Unlock()
		return
	}
	if r.none == nil {
		r.none = make(chan struct{})
	}
	none := r.none
	r.mu.Unlock()
	patience := time.NewTimer(restFarewell)
	defer patience.Stop()
	select {
	case <-none:
	case <-patience.C:
	}
}
