package routing

import (
	"container/list"
	"context"
	"sync"
)

const (
	// maxOperations bounds the operations under way at a time; more of them wait
	// for their turn. Each has at most one request on its way to one peer, so this
	// is also what the per-peer queue of the client must hold.
	maxOperations = 128
	// firstOperations is how many there are to begin with, leastOperations how many
	// there always may be.
	firstOperations = 16
	leastOperations = 4
)

// turns is whose turn it is to have an operation under way. How many may be is
// learned: whoever announces a hundred thousand keys to twenty peers that delay
// it would otherwise have 128 requests wait for each of them, lose patience with
// peers that only its own queue keeps from answering, and store less than it could.
// Where nothing queues, for the peers are many and fast, there are as many
// operations as there may ever be.
//
// Invariant: those who wait come in the order of asking, and wait only while limit
// operations are under way.
type turns struct {
	mu      sync.Mutex // guards all below
	limit   float64    // operations at a time, now
	running int
	started uint64
	waiting list.List // of chan struct{}, closed when it is their turn
}

func newTurns() *turns { return &turns{limit: firstOperations} }

// take waits for a turn, which give must follow, until ctx ends or closing is
// closed.
func (t *turns) take(ctx context.Context, closing <-chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	if t.waiting.Len() == 0 && t.running < int(t.limit) {
		t.begin()
		t.mu.Unlock()
		return nil
	}
	ready := make(chan struct{})
	place := t.waiting.PushBack(ready)
	t.mu.Unlock()
	var err error
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-closing:
		err = ErrClosed
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-ready: // meanwhile
		t.end()
	default:
		t.waiting.Remove(place)
	}
	return err
}

// give returns a turn. crowded says that more is being asked than is answered: that
// takes an eighth of a turn away for each operation that ends; if it is not, a
// quarter of one is added, as long as all are in use.
func (t *turns) give(crowded bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case crowded:
		t.limit = max(leastOperations, t.limit-1.0/8)
	case t.running >= int(t.limit):
		t.limit = min(maxOperations, t.limit+1.0/4)
	}
	t.end()
}

func (t *turns) begin() {
	t.running++
	t.started++
}

// end ends an operation and begins those that may.
func (t *turns) end() {
	t.running--
	for t.running < int(t.limit) && t.waiting.Len() > 0 {
		close(t.waiting.Remove(t.waiting.Front()).(chan struct{}))
		t.begin()
	}
}

// counts returns how many operations are under way, and how many have been started.
func (t *turns) counts() (running int, started uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running, t.started
}
