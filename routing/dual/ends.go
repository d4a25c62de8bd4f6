package dual

import (
	"context"
	"sync"

	"github.com/kdht/kdht/routing"
)

// ends joins what becomes in the end of one operation in each network: who wants to know is
// told once, when both are over, the sum of both reports, and an error if both failed.
type ends struct {
	told func(routing.Report, error) // nil: nobody wants to know

	mu     sync.Mutex
	over   int
	report routing.Report
	err    error
	good   bool
}

func newEnds(ctx context.Context) *ends { return &ends{told: routing.FinalReport(ctx)} }

// under returns the context of the operation in one of the networks.
func (e *ends) under(ctx context.Context) context.Context {
	if e.told == nil {
		return ctx
	}
	return routing.WithFinalReport(ctx, e.end)
}

func (e *ends) end(r routing.Report, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.report, e.good = e.report.Beside(&r), e.good || err == nil
	if err != nil {
		e.err = err
	}
	if e.over++; e.over < 2 {
		return
	}
	if e.good {
		e.err = nil
	}
	e.told(e.report, e.err)
}
