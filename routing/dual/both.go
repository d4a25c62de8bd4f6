package dual

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kdht/kdht/routing"
)

// Report is what an operation did in each network, and what it ended with there: nil
// where it succeeded.
type Report struct {
	WAN, LAN       routing.Report
	WANErr, LANErr error
}

type reportKey struct{}

// WithReport returns a context under which the next operation fills in r; as
// routing.WithReport, whose report, if there is one, gets the sum of both.
func WithReport(ctx context.Context, r *Report) context.Context {
	return context.WithValue(ctx, reportKey{}, r)
}

// answer is what an operation ended with in one network.
type answer[T any] struct {
	value  T
	report routing.Report
	err    error
}

// pair is what it ended with in both.
type pair[T any] struct{ wan, lan answer[T] }

// ErrLeft is what a Report says of a network that was not waited for.
var ErrLeft = errors.New("kdht: not waited for: the other network has answered")

// forever is how long is waited where there is no hurry.
const forever time.Duration = -1

// both runs op in both networks at a time. patience says how long the second is
// waited for when the first has ended; nil: until it ends. The context's reports are
// filled in.
func both[T any](ctx context.Context, d *DHT, op func(context.Context, *routing.DHT) (T, error), patience func(*answer[T]) time.Duration) pair[T] {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	left := answer[T]{err: ErrLeft}
	p := pair[T]{left, left}
	ends := make(chan func(), 2)
	for side, into := range map[*routing.DHT]*answer[T]{d.WAN: &p.wan, d.LAN: &p.lan} {
		d.start(func() {
			var a answer[T]
			a.value, a.err = op(routing.WithReport(within, &a.report), side)
			ends <- func() { *into = a }
		})
	}
	(<-ends)()
	wait := forever
	if patience != nil {
		ended := &p.wan
		if errors.Is(p.wan.err, ErrLeft) {
			ended = &p.lan
		}
		wait = patience(ended)
	}
	p.second(ends, wait)
	p.tell(ctx)
	return p
}

// second waits for the other network.
func (p *pair[T]) second(ends <-chan func(), wait time.Duration) {
	var enough <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case end := <-ends:
		end()
	case <-enough:
	}
}

// tell fills in the context's reports.
func (p pair[T]) tell(ctx context.Context) {
	if into, ok := ctx.Value(reportKey{}).(*Report); ok {
		*into = Report{WAN: p.wan.report, LAN: p.lan.report, WANErr: p.wan.err, LANErr: p.lan.err}
	}
	routing.FillReport(ctx, p.wan.report.Beside(&p.lan.report))
}

// err returns nil if the operation succeeded in one network.
func (p pair[T]) err(ctx context.Context) error { return merge(ctx, p.wan.err, p.lan.err) }

// strict returns nil if it succeeded in both.
func (p pair[T]) strict() error {
	if p.wan.err != nil {
		return p.wan.err
	}
	return p.lan.err
}

// merge returns nil if one of the errors is, else what both say. An empty network is
// no news where the other has something to say.
func merge(ctx context.Context, wan, lan error) error {
	switch {
	case wan == nil, lan == nil:
		return nil
	case ctx.Err() != nil && (errors.Is(wan, ctx.Err()) || errors.Is(lan, ctx.Err())) && !errors.Is(wan, routing.ErrNoPeers) && !errors.Is(lan, routing.ErrNoPeers):
		return ctx.Err()
	case errors.Is(lan, ErrLeft), errors.Is(wan, lan) && errors.Is(lan, wan):
		return wan
	case errors.Is(wan, ErrLeft):
		return lan
	case errors.Is(lan, routing.ErrNoPeers) && !errors.Is(wan, routing.ErrNoPeers):
		return wan
	case errors.Is(wan, routing.ErrNoPeers) && !errors.Is(lan, routing.ErrNoPeers):
		return lan
	}
	return fmt.Errorf("%w; and in the local network: %w", wan, lan)
}

// effect makes an operation that returns nothing one that both takes.
func effect(op func(*routing.DHT, context.Context) error) func(context.Context, *routing.DHT) (struct{}, error) {
	return func(ctx context.Context, side *routing.DHT) (struct{}, error) { return struct{}{}, op(side, ctx) }
}

// first does not wait for the second if the first has succeeded, failing not if it
// has failed.
func first[T any](a *answer[T]) time.Duration {
	if a.err == nil {
		return 0
	}
	return forever
}

func failing[T any](a *answer[T]) time.Duration {
	if a.err != nil {
		return 0
	}
	return forever
}
