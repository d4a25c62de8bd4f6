package routing

import (
	"context"
	"errors"

	coreprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// Trace is told what a DHT does: of its beginning and end, and of each operation that
// asks other peers. Every field may be nil, which means "don't care". Its functions are
// called from several goroutines and must return soon, Step at once. One Trace may be
// told by several DHTs. What nobody asks for costs nothing.
//
// See routing/metrics for one that feeds Prometheus, and routing/tracing for one that
// feeds OpenTelemetry.
type Trace struct {
	// Started: d runs. An error keeps it from running.
	Started func(d *DHT) error
	// Closed: d, of which Started was told, has ended.
	Closed func(d *DHT)
	// Began: an operation is about to ask other peers. What it returns, ctx or a context
	// made from it, is what Step and Ended are told of this operation with.
	Began func(ctx context.Context, op *Operation) context.Context
	// Step: the operation's lookup has made a step. One that is answered by another's
	// lookup makes none. It is called by the goroutine that everything else waits for.
	Step func(ctx context.Context, op *Operation, s LookupStep)
	// Ended: the operation is over, of one that stores also what went on after its caller
	// had been answered. A search that had found as much as was asked for has no error.
	Ended func(ctx context.Context, op *Operation, r Report, err error)
}

// Operation is one call of a DHT that asks other peers. Nobody changes it.
type Operation struct {
	DHT  *DHT
	Kind OperationKind
	Key  []byte
}

// OperationKind is what is asked of a DHT.
type OperationKind string

// The kinds.
const (
	OpFindPeer      OperationKind = "find_peer"
	OpClosestPeers  OperationKind = "closest_peers"
	OpFindProviders OperationKind = "find_providers"
	OpProvide       OperationKind = "provide"
	OpGetValue      OperationKind = "get_value"
	OpPutValue      OperationKind = "put_value"
)

// Protocol returns the id that all members of the network share.
func (d *DHT) Protocol() coreprotocol.ID { return d.cfg.Protocol }

// traced is one operation as it is told to everybody who wants to know, each with the
// context that it has made.
type traced struct {
	traces []*Trace
	ctxs   []context.Context
	op     Operation
}

// beginTraced tells that an operation begins. It returns nil if nobody wants to know.
func (d *DHT) beginTraced(ctx context.Context, kind OperationKind, key []byte) *traced {
	if len(d.cfg.Trace) == 0 {
		return nil
	}
	t := &traced{traces: d.cfg.Trace, ctxs: make([]context.Context, len(d.cfg.Trace)), op: Operation{d, kind, key}}
	for i, trace := range t.traces {
		if t.ctxs[i] = ctx; trace.Began != nil {
			t.ctxs[i] = trace.Began(ctx, &t.op)
		}
	}
	return t
}

// step tells a step of the operation's lookup, on the loop.
func (t *traced) step(s LookupStep) {
	for i, trace := range t.traces {
		if trace.Step != nil {
			trace.Step(t.ctxs[i], &t.op, s)
		}
	}
}

// end tells how the operation has ended.
func (t *traced) end(ctx context.Context, r Report, err error) {
	if t == nil {
		return
	}
	if errors.Is(context.Cause(ctx), errEnough) {
		err = nil
	}
	for i, trace := range t.traces {
		if trace.Ended != nil {
			trace.Ended(t.ctxs[i], &t.op, r, err)
		}
	}
}

// wantsSteps reports whether anybody is told the steps of operations.
func (c *Config) wantsSteps() bool {
	for _, t := range c.Trace {
		if t.Step != nil {
			return true
		}
	}
	return false
}

// tellStarted tells everybody that d runs. If one of them refuses, those who were told
// before are told that it has ended.
func (d *DHT) tellStarted() error {
	for _, t := range d.cfg.Trace {
		if t.Started != nil {
			if err := t.Started(d); err != nil {
				return err
			}
		}
		d.watched.told = append(d.watched.told, t)
	}
	return nil
}

func (d *DHT) tellClosed() {
	for _, t := range d.watched.told {
		if t.Closed != nil {
			t.Closed(d)
		}
	}
}
