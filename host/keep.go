package host

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// keepFirst and keepMost bound the wait between two attempts at one peer, which
	// doubles with each failure.
	keepFirst = time.Second
	keepMost  = time.Minute
	// keepTimeout bounds one attempt; a silent address takes libp2p 15 s.
	keepTimeout = 20 * time.Second
	// keepAtOnce is how many peers are tried at a time, so that a long list of
	// bootstrap peers is no burst of dials.
	keepAtOnce = 4
)

// KeepConnected sees to it that a peer that has lost the others finds them again:
// until ctx ends, whenever enough() is false, it connects to the peers it is
// given that are not connected, in random order. A peer that fails is tried again
// after a second, then after twice as long each time up to a minute, with a
// random part so that a fleet does not come back in step. It returns when ctx
// ends. report, if not nil, is told the outcome of each attempt; calls to it may
// overlap.
func KeepConnected(ctx context.Context, t Transport, peers func() []peer.AddrInfo, enough func() bool, report func(peer.AddrInfo, error)) {
	k := keeper{transport: t, report: report, retry: make(map[peer.ID]*retry)}
	for ctx.Err() == nil {
		if enough() {
			clear(k.retry)
		} else {
			k.round(ctx, peers(), enough)
		}
		select {
		case <-ctx.Done():
		case <-time.After(keepFirst):
		}
	}
}

// keeper remembers whom it failed to reach. It is used by one goroutine; each
// retry by one attempt at a time.
type keeper struct {
	transport Transport
	report    func(peer.AddrInfo, error)
	retry     map[peer.ID]*retry
}

// retry is when a peer may be tried again.
type retry struct {
	wait time.Duration
	at   time.Time
}

// round tries all that are due, until there are enough.
func (k *keeper) round(ctx context.Context, peers []peer.AddrInfo, enough func() bool) {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	slots := make(chan struct{}, keepAtOnce)
	for _, i := range rand.Perm(len(peers)) {
		p := peers[i]
		if p.ID == k.transport.ID() || k.transport.Connected(p.ID) {
			delete(k.retry, p.ID)
			continue
		}
		r := k.retry[p.ID]
		if r == nil {
			r = &retry{}
			k.retry[p.ID] = r
		}
		if time.Now().Before(r.at) {
			continue
		}
		slots <- struct{}{}
		if ctx.Err() != nil || enough() {
			return
		}
		attempts.Add(1)
		go func() {
			defer attempts.Done()
			k.attempt(ctx, p, r)
			<-slots
		}()
	}
}

// attempt tries one peer once.
func (k *keeper) attempt(ctx context.Context, p peer.AddrInfo, r *retry) {
	one, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	err := k.transport.Connect(one, p)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.wait = min(max(keepFirst, 2*r.wait), keepMost)
		r.at = time.Now().Add(r.wait/2 + rand.N(r.wait))
	}
	if k.report != nil {
		k.report(p, err)
	}
}
