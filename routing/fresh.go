package routing

import (
	"context"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
	core "github.com/libp2p/go-libp2p/core/routing"
)

type freshKey struct{}

// WithoutCache returns a context under which operations ask peers themselves: they are not
// answered by what an earlier lookup has found, do not begin where it has ended, and join
// none that is under way.
func WithoutCache(ctx context.Context) context.Context {
	return context.WithValue(ctx, freshKey{}, true)
}

// afresh reports whether the operation is to walk its own way: it was asked for, or each of
// its steps is to be told.
func (op *operation) afresh() bool {
	asked, _ := op.ctx.Value(freshKey{}).(bool)
	return asked || op.lookups != nil || core.SubscribesToQueryEvents(op.ctx)
}

// begin starts the operation's query on the loop.
func (op *operation) begin(now time.Time, start starter, done func(time.Time, kademlia.Result)) kademlia.QueryID {
	n := op.dht.loop.node
	call := func() kademlia.QueryID { return start(now, n, op, done) }
	one, _ := op.ctx.Value(besideKey{}).(bool)
	switch {
	case op.afresh():
		return n.Afresh(call)
	case one:
		return n.Beside(call)
	}
	return call()
}

type besideKey struct{}

// besideOthers returns the context of an operation that is one of many, made in the order of
// their keys.
func besideOthers(ctx context.Context) context.Context {
	return context.WithValue(ctx, besideKey{}, true)
}
