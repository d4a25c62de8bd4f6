package host

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// keepFirst and keepMost bound the wait between two attempts at one peer, which
	// doubles with each.
	keepFirst = time.Second
	keepMost  = time.Minute
	// keepTimeout bounds one attempt; libp2p gives up on a silent address after 15 s.
	keepTimeout = 20 * time.Second
	// keepAtOnce is how many peers are tried at a time, so that a long list of
	// bootstrap peers is no burst of dials.
	keepAtOnce = 4
)

// KeepConnected sees to it that a peer that has lost the others finds them again:
// until ctx ends, whenever enough() is false, it connects to those of peers()
// that are not connected, in random order, four at a time. A peer is tried again
// after a second, then after twice as long each time up to a minute, each wait
// with a random part so that a fleet does not come back in step; once it has been
// seen connected this begins anew. Both functions are asked every second, from
// the goroutine of KeepConnected, which returns when ctx has ended. report, if
// not nil, is told the outcome of each attempt from there, too.
func KeepConnected(ctx context.Context, t Transport, peers func() []peer.AddrInfo, enough func() bool, report func(peer.AddrInfo, error)) {
	k := keeper{transport: t, attempts: make(map[peer.ID]*attempt), done: make(chan *attempt, keepAtOnce)}
	for ctx.Err() == nil {
		if !enough() {
			k.start(ctx, peers())
		}
		tick := time.NewTimer(keepFirst)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case a := <-k.done:
			a.running = false
			k.running--
			if report != nil && ctx.Err() == nil {
				report(a.peer, a.err)
			}
		}
		tick.Stop()
	}
	for ; k.running > 0; k.running-- {
		<-k.done
	}
}

// keeper remembers whom it has tried. It belongs to one goroutine; an attempt
// that is running belongs to another until it is handed back through done.
type keeper struct {
	transport Transport
	attempts  map[peer.ID]*attempt
	running   int
	round     int // how often due was called
	done      chan *attempt
}

// attempt is the latest attempt at one peer.
type attempt struct {
	peer    peer.AddrInfo
	wait    time.Duration
	next    time.Time // not before
	err     error
	running bool // this and round are the keeper's goroutine's always
	round   int  // when it was last given
}

// start begins attempts at those that are due, while there is room: at those
// first that have waited longest, among equals at random.
func (k *keeper) start(ctx context.Context, peers []peer.AddrInfo) {
	due := k.due(peers)
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	slices.SortStableFunc(due, func(a, b *attempt) int { return a.next.Compare(b.next) })
	for _, a := range due[:min(len(due), keepAtOnce-k.running)] {
		a.running = true
		k.running++
		go k.try(ctx, a)
	}
}

// due returns the peers that are to be tried now, and forgets those that are no
// longer given.
func (k *keeper) due(peers []peer.AddrInfo) []*attempt {
	k.round++
	var due []*attempt
	for _, p := range peers {
		a := k.attempts[p.ID]
		if a == nil {
			a = &attempt{}
			k.attempts[p.ID] = a
		}
		if a.round == k.round || a.running || p.ID == k.transport.ID() {
			continue // a.peer is another goroutine's while it runs
		}
		a.round, a.peer = k.round, p
		if k.transport.Connected(p.ID) {
			*a = attempt{round: k.round}
		} else if !time.Now().Before(a.next) {
			due = append(due, a)
		}
	}
	for id, a := range k.attempts {
		if a.round != k.round && !a.running {
			delete(k.attempts, id)
		}
	}
	return due
}

// try makes one attempt.
func (k *keeper) try(ctx context.Context, a *attempt) {
	one, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	a.err = k.transport.Connect(one, a.peer)
	a.wait = min(max(keepFirst, 2*a.wait), keepMost)
	a.next = time.Now().Add(a.wait/2 + rand.N(a.wait))
	k.done <- a
}
