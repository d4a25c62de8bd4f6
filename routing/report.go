package routing

import (
	"context"

	"github.com/kdht/kdht/routing/kademlia"
)

// Report is what an operation did: whom it asked and who answered, what failed
// and why, who holds the record, over how many hops and in what time.
type Report = kademlia.Report

type reportKey struct{}

// WithReport returns a context under which the next operation fills in r before
// it returns, or before its channel is closed, whether it succeeded or not. It is
// emptied when the operation begins, so one that is refused before anybody is
// asked leaves it empty. One report serves one operation at a time.
func WithReport(ctx context.Context, r *Report) context.Context {
	return context.WithValue(ctx, reportKey{}, r)
}

// FillReport gives the context's Report, if there is one, the figures of an operation.
// It is exported for routers that put several operations together: they run each under
// a report of its own.
func FillReport(ctx context.Context, r Report) {
	if into, ok := ctx.Value(reportKey{}).(*Report); ok {
		*into = r
	}
}
