package build

import (
	"sync"
	"time"
)

const (
	// crowdPace is how many handshakes a second others may make with us where all
	// places for their connections are taken, and crowdBurst how many at once: one
	// costs a millisecond, and whoever is let in then takes another's place. It is
	// more than come where nobody floods us, and few enough that those who are there
	// do not wait for the processor (reliability.md P17); many at once would have them
	// wait though the pace is kept.
	crowdPace  = 120
	crowdBurst = 8
	// maxHesitation is how long the next socket waits at most: sockets that say
	// nothing must not keep out those behind them (reliability.md P18).
	maxHesitation = 8 * time.Millisecond
)

// pace bounds how fast handshakes are made in a crowd. Where more are made, the next
// socket is accepted later, so that the flood waits in the system's queue; nobody
// is refused. Sockets that make no handshake cost nothing and count for nothing.
//
// Invariant: level is at most crowdBurst.
type pace struct {
	mu    sync.Mutex
	level float64 // handshakes that may be made at once, as of last
	last  time.Time
}

func newPace(now time.Time) *pace { return &pace{level: crowdBurst, last: now} }

// made notes a handshake.
func (p *pace) made(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refill(now)
	p.level--
}

// hesitation returns how long to wait before the next socket is accepted.
func (p *pace) hesitation(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refill(now); p.level >= 0 {
		return 0
	}
	return min(maxHesitation, time.Duration(-p.level/crowdPace*float64(time.Second)))
}

func (p *pace) refill(now time.Time) {
	if d := now.Sub(p.last); d > 0 {
		p.level = min(crowdBurst, p.level+crowdPace*d.Seconds())
	}
	// Who was let in while there was room owes no more than a moment's wait.
	p.level = max(p.level, -crowdPace/10)
	p.last = now
}
