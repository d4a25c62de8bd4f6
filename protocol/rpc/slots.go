package rpc

import (
	"context"
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kdht/kdht/protocol"
)

// slots is a bounded number of permits with a bounded queue in front: first come,
// first served. It is guarded by its owner's lock.
type slots struct {
	free    int
	waiting []chan struct{} // closed when the permit is theirs
}

// take takes a permit if one is free, or else queues up behind less than queue
// others: it returns the channel that is closed when a permit is there.
func (s *slots) take(queue int) (wait chan struct{}, ok bool) {
	if s.free > 0 {
		s.free--
		return nil, true
	}
	if len(s.waiting) >= queue {
		return nil, false
	}
	wait = make(chan struct{})
	s.waiting = append(s.waiting, wait)
	return wait, true
}

// give returns a permit: to the first in the queue, if anybody is.
func (s *slots) give() {
	if len(s.waiting) == 0 {
		s.free++
		return
	}
	next := s.waiting[0]
	n := copy(s.waiting, s.waiting[1:])
	s.waiting[n] = nil
	s.waiting = s.waiting[:n]
	close(next)
}

// leave takes wait out of the queue. If its permit has come meanwhile, it is
// given back.
func (s *slots) leave(wait chan struct{}) {
	for i, w := range s.waiting {
		if w == wait {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return
		}
	}
	s.give()
}

// budget bounds the requests under way: per peer, with a queue, and in total. A
// peer's entry exists at least while it has a request under way or queued.
type budget struct {
	perPeer, queue, totalQueue int

	mu    sync.Mutex
	peers map[peer.ID]*slots
	total slots
}

// newBudget returns a budget from a filled configuration.
func newBudget(cfg ClientConfig) *budget {
	return &budget{
		perPeer: cfg.MaxPerPeer, queue: cfg.MaxQueuedPerPeer, totalQueue: cfg.MaxQueued,
		peers: make(map[peer.ID]*slots), total: slots{free: cfg.MaxInFlight},
	}
}

// acquire waits for a permit of the peer's and then for one in total. Its errors
// wrap ErrLocal if a queue is full or ctx's deadline passed in one, and
// ctx.Err() if ctx was cancelled.
func (b *budget) acquire(ctx context.Context, to peer.ID) error {
	if err := stoppedWaiting(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	s := b.peers[to]
	if s == nil {
		s = &slots{free: b.perPeer}
		b.peers[to] = s
	}
	wait, ok := s.take(b.queue)
	b.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: %d requests to this peer are queued already", protocol.ErrLocal, b.queue)
	}
	if err := b.await(ctx, s, wait); err != nil {
		b.drop(to, s)
		return err
	}
	if err := b.acquireTotal(ctx); err != nil {
		b.mu.Lock()
		s.give()
		b.mu.Unlock()
		b.drop(to, s)
		return err
	}
	return nil
}

// acquireTotal waits for a permit in total.
func (b *budget) acquireTotal(ctx context.Context) error {
	b.mu.Lock()
	wait, ok := b.total.take(b.totalQueue)
	b.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: %d requests are queued already", protocol.ErrLocal, b.totalQueue)
	}
	return b.await(ctx, &b.total, wait)
}

// await waits in s's queue until wait is closed or ctx ends.
func (b *budget) await(ctx context.Context, s *slots, wait chan struct{}) error {
	if wait == nil {
		return nil
	}
	select {
	case <-wait:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	s.leave(wait)
	b.mu.Unlock()
	return stoppedWaiting(ctx)
}

// stoppedWaiting says what it means that ctx has ended before the peer was asked;
// nil if it has not.
func stoppedWaiting(ctx context.Context) error {
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("%w: deadline passed before it was its turn", protocol.ErrLocal)
	}
	return ctx.Err()
}

// release gives both permits back.
func (b *budget) release(to peer.ID) {
	b.mu.Lock()
	b.total.give()
	s := b.peers[to]
	s.give()
	b.mu.Unlock()
	b.drop(to, s)
}

// longQueue is how many requests waiting for one peer make a queue: half of what it
// takes at a time unless told otherwise.
const longQueue = 4

// crowded reports whether requests queue at more than half of the peers that are
// being asked: then it is not a peer that is slow, but we who ask too much.
func (b *budget) crowded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	queues := 0
	for _, s := range b.peers {
		if len(s.waiting) >= longQueue {
			queues++
		}
	}
	return 2*queues > len(b.peers)
}

// drop forgets a peer's entry s if nobody uses it any more.
func (b *budget) drop(to peer.ID, s *slots) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.peers[to] == s && s.free == b.perPeer && len(s.waiting) == 0 {
		delete(b.peers, to)
	}
}
