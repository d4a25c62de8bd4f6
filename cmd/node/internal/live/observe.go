package live

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/routing"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// observed runs op, tells w each hop of its lookup, and returns its report.
func (n *Node) observed(ctx context.Context, w control.Watch, op func(context.Context) error) (control.Report, error) {
	n.settle(ctx)
	var report routing.Report
	ctx = routing.WithReport(ctx, &report)
	if w == nil {
		err := op(ctx)
		return asReport(report), err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, events := core.RegisterForQueryEvents(ctx)
	start, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		for e := range events {
			if h := n.hop(e); h != nil {
				h.Millis = control.Millis(time.Since(start))
				w(control.Event{Hop: h})
			}
		}
	}()
	err := op(ctx)
	cancel()
	<-done
	return asReport(report), err
}

// settleTime is how long an operation waits for peers that are connected but not
// verified yet. That takes one round trip.
const settleTime = time.Second

// settle lets a node that has just been connected to find out by whom, so that
// the first operation after somebody has joined it does not fail.
func (n *Node) settle(ctx context.Context) {
	if n.Peers() == 0 {
		ctx, cancel := context.WithTimeout(ctx, settleTime)
		defer cancel()
		_ = n.router.WaitReady(ctx) // at once if nobody is connected
	}
}

func (n *Node) hop(e *core.QueryEvent) *control.Hop {
	h := &control.Hop{Peer: e.ID.String()}
	switch e.Type {
	case core.SendingQuery:
		h.Step = "asking"
		h.Hop, _ = strconv.Atoi(strings.TrimPrefix(e.Extra, "hop ")) // 0 if it says none
	case core.PeerResponse:
		h.Step = "answered"
		for _, p := range e.Responses {
			h.Closer = append(h.Closer, p.ID.String())
		}
	case core.QueryError:
		h.Step, h.Cause = "failed", control.Line(errors.New(e.Extra))
	case core.Value:
		h.Step, h.Local = "value", e.ID == n.host.ID()
	case core.Provider:
		h.Step = "provider"
	default:
		return nil
	}
	return h
}

func asReport(r routing.Report) control.Report {
	out := control.Report{
		Asked: r.Asked, Answered: r.Answered, Hops: r.Hops, Millis: control.Millis(r.Duration),
		Failed: map[string]int{}, Holders: []string{},
	}
	for _, p := range r.Holders {
		out.Holders = append(out.Holders, p.String())
	}
	f := r.Failed
	for cause, n := range map[string]int{
		"unreachable": f.Unreachable, "refused": f.Refused, "timeout": f.Timeout,
		"malformed": f.Malformed, "unsupported": f.Unsupported, "local": f.Local,
	} {
		if n > 0 {
			out.Failed[cause] = n
		}
	}
	return out
}

// failure returns err as what people see of it, with the report.
func failure(err error, r control.Report) error {
	e := *control.AsError(classify(err))
	e.Report = &r
	return &e
}
