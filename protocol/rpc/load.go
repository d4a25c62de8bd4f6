package rpc

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kdht/kdht/protocol"
)

// ErrBusy means that a request that had been admitted found no free worker: too
// many others wait, or it waited too long. It was not decoded. It carries the
// reset code network.StreamResourceLimitExceeded.
var ErrBusy error = &codedError{text: "busy: ask somebody else, or later", code: network.StreamResourceLimitExceeded}

// LoadConfig shapes a Load. The zero value is a good one.
type LoadConfig struct {
	// Workers is how many requests are decoded and handled at a time. 0 means 4 per
	// processor and at least 16: more than can run, since a handler may wait for a
	// disk, and few enough that what exceeds the capacity waits here, in order,
	// rather than for a processor, in none.
	Workers int
	// MaxWait is how long a request waits at most; 0 means 500 ms, and a tenth of it
	// in overload. Who asks gives a request's place in a lookup to another peer after
	// a second. Timer runs f in a
	// goroutine after a time unless it is stopped before, as time.AfterFunc does;
	// without it nobody is told that MaxWait is over.
	MaxWait time.Duration
	Timer   func(after time.Duration, f func()) (stop func() bool)
	// MaxWaiting bounds the requests that wait, MaxWaitingPerPeer those of one peer;
	// 0 means 512 and 64, as many as a host serves streams.
	MaxWaiting, MaxWaitingPerPeer int
	// Entitled says whose requests have half of the workers to themselves while
	// others wait; nil: nobody's. It is called for requests that have to wait, from
	// many goroutines, and must be quick.
	Entitled func(peer.ID) bool
}

// Load is the budget of workers that all requests share, and the queue before
// it. While a worker is free a request passes at the price of two atomic
// additions; when none is, requests wait, and peers have their turns in fair
// order (see line) whatever each of them sends. What cannot be served in time is
// dropped, the requests that would be served last first: those of peers with the
// most units waiting, and of two the dearer one.
//
// What can be served in time is learned. A burst fills the line and empties it
// again, and every request in it may wait as long as MaxWait. A line that has not
// been empty for a while is no burst: more comes in than is handled, whether
// because others ask too much or because this machine has no time for us, and
// waiting longer serves nobody more. Then a request that is not served soon is
// dropped soon, its peer can ask somebody else while that is of use, and those
// whose turn comes early, peers that ask little, wait no longer than before. (The
// rule is that of Maurer's "Fail at Scale", 2015, after CoDel. Memberlist's local
// health does the same for the other side: it judges others by what it can tell
// while it is late itself. Here a node that is late says so early; the prober of
// routing/kademlia blames nobody while no one else has answered.) When the line has
// been empty once, all is as before, and while a worker is free nobody waits at
// all: an idle server serves what the limits admit.
//
// A request is handled on the goroutine of its stream, which waits for a permit.
// The other design, worker goroutines that take requests from the queue, costs
// every request two switches of goroutines to gain nothing: the stream's
// goroutine exists anyway and has to wait for the answer. The order of service is
// a state machine of its own, so that it is tested without goroutines, and what
// waits here waits on one channel, which testing/synctest can see.
//
// Our own operations do not pass through here: they never wait behind strangers,
// and Workers bounds how many of these they compete with.
//
// Invariants: requests wait only while no worker is free; nobody overtakes those
// who wait. Methods may be called from any goroutine.
type Load struct {
	maxWait    time.Duration
	timer      func(time.Duration, func()) func() bool
	maxWaiting int
	entitled   func(peer.ID) bool

	workers atomic.Int32
	busy    atomic.Int32 // permits taken
	waiting atomic.Int32 // len of the line; written under the lock

	mu    sync.Mutex
	line  line
	since time.Time // the line has not been empty since, if it is not
	stats LoadStats
}

// standing is how long a line that has not been empty stands for overload: longer
// than any burst of what a host's streams hold takes on a machine that is fast
// enough. hasty is the part of MaxWait that is left then.
const (
	standing = 100 * time.Millisecond
	hasty    = 10
)

// LoadStats is a snapshot of a Load. Counters only grow.
type LoadStats struct {
	Workers, Busy, Waiting int
	Waited                 uint64 // requests that did not get a worker at once
	// Of these, dropped: because their peer had too many waiting, to make room for
	// others with a better claim, because their turn did not come in time.
	ShedByPeer, ShedForOthers, ShedLate uint64
	// Hasty counts the requests that came in overload.
	Hasty uint64
}

// NewLoad returns a Load with all workers free.
func NewLoad(cfg LoadConfig) *Load {
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = 500 * time.Millisecond
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = 512
	}
	if cfg.MaxWaitingPerPeer <= 0 {
		cfg.MaxWaitingPerPeer = 64
	}
	l := &Load{
		maxWait: cfg.MaxWait, timer: cfg.Timer, maxWaiting: cfg.MaxWaiting, entitled: cfg.Entitled,
		line: newLine(cfg.MaxWaitingPerPeer),
	}
	l.SetWorkers(cfg.Workers)
	return l
}

// SetWorkers changes how many requests are handled at a time, 0 means the
// default. Fewer take effect as requests under way end.
func (l *Load) SetWorkers(n int) {
	if n <= 0 {
		n = max(16, 4*runtime.GOMAXPROCS(0))
	}
	l.workers.Store(int32(min(n, 1<<20)))
	l.grant()
}

// Stats returns a snapshot.
func (l *Load) Stats() LoadStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Workers, s.Busy, s.Waiting = int(l.workers.Load()), int(l.busy.Load()), l.line.len()
	return s
}

// enter returns when a request of this cost in units, which came now, may be handled,
// which leave must follow, or with ErrBusy.
func (l *Load) enter(now time.Time, from protocol.Remote, cost float64) error {
	if l.waiting.Load() == 0 && l.take() {
		return nil
	}
	return l.wait(now, from, cost)
}

// leave gives the permit back.
func (l *Load) leave() {
	l.busy.Add(-1)
	// Whoever lines up announces it before looking for a free permit, so either
	// sees this one or is seen here.
	if l.waiting.Load() > 0 {
		l.grant()
	}
}

// take takes a permit if one is free.
func (l *Load) take() bool {
	for {
		n := l.busy.Load()
		if n >= l.workers.Load() {
			return false
		}
		if l.busy.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// grant hands free permits to those who are next.
func (l *Load) grant() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grantLocked()
}

func (l *Load) grantLocked() {
	for l.line.len() > 0 && l.take() {
		l.line.pop().ready <- nil
	}
	l.waiting.Store(int32(l.line.len()))
}

// wait is enter for requests that find no free worker.
func (l *Load) wait(now time.Time, from protocol.Remote, cost float64) error {
	t := &turn{peer: from.Peer, rank: strange, cost: cost, ready: make(chan error, 1)}
	if l.entitled != nil && l.entitled(from.Peer) {
		t.rank = entitled
	}
	patience, ok := l.lineUp(now, t)
	if !ok {
		return ErrBusy
	}
	if l.timer != nil {
		defer l.timer(patience, func() { l.giveUp(t) })()
	}
	return <-t.ready
}

// lineUp puts t in the line, and out of it again those who are next and those
// who are too many, and returns how long t may wait; false if its peer has too many
// waiting.
func (l *Load) lineUp(now time.Time, t *turn) (patience time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Waited++
	if l.line.len() == 0 {
		l.since = now
	}
	if !l.line.push(t) {
		l.stats.ShedByPeer++
		return 0, false
	}
	patience = l.maxWait
	if now.Sub(l.since) > standing {
		l.stats.Hasty++
		patience /= hasty
	}
	l.waiting.Store(int32(l.line.len()))
	l.grantLocked()
	if l.line.len() > l.maxWaiting {
		l.stats.ShedForOthers++
		l.line.shed().ready <- ErrBusy
		l.waiting.Store(int32(l.line.len()))
	}
	return patience, true
}

// giveUp drops t if it still waits.
func (l *Load) giveUp(t *turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.arrival == 0 {
		return
	}
	l.line.remove(t)
	l.waiting.Store(int32(l.line.len()))
	l.stats.ShedLate++
	t.ready <- ErrBusy
}
