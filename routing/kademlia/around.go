package kademlia

import (
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// Peers name the k nearest to the target that they know. Where some of these have just
// died, all name the same dead, and nobody those who come after them. These are among the
// nearest to keys around the target: peers that have answered are asked for such keys.
const (
	// leastDead of those nearer than the k-th live candidate have failed before a lookup
	// hears of whoever is around its target, three times as many before it does again.
	leastDead = 2
	// maxAround is how many peers are asked for each of two keys, maxRounds how often.
	maxAround = 2
	maxRounds = 2
)

// around is the goal of asking for a key around another query's target: to tell that query
// of whom is named.
type around struct {
	findNode
	of   *query
	left int // answers still wanted
}

func (g *around) response(_ time.Time, _ *query, _ *Contact, m *protocol.Message) bool {
	if q := g.of; !q.finished {
		for _, c := range q.heard(m) {
			q.lookup.add(c, q.report.Hops+1)
		}
		q.lookup.by = 0
	}
	g.left--
	return g.left <= 0
}

// lookAround has the lookup hear of more peers where many have died, and reports whether
// that is waited for.
func (q *query) lookAround(now time.Time) bool {
	n, l := q.node, q.lookup
	if q.around > 0 {
		return true
	}
	if q.passing || l.paths != nil || q.rounds >= maxRounds || n.cfg.K < fewest || l.confirmed() < n.cfg.K/4 {
		return false
	}
	far, whole := l.farthest(heard)
	if !whole || l.dead(far) < leastDead*(1+2*q.rounds) {
		return false
	}
	q.rounds++
	q.around++ // until all have begun
	shell := shellOf(far)
	for _, key := range randomKeys(n.cfg.Rand, &q.target, 1<<shell|1<<(shell+1)) {
		q.askAround(now, key)
	}
	q.around--
	return q.around > 0
}

// askAround asks those who have answered and are nearest to key who is there. It dials
// on this lookup's account.
func (q *query) askAround(now time.Time, key []byte) {
	n := q.node
	q.around++
	walk := n.query(now, protocol.FindNode, key, &around{of: q, left: maxAround}, func(now time.Time, r Result) {
		if q.around--; q.finished {
			return
		}
		q.report.add(&r.Report)
		if q.around == 0 {
			q.step(now)
		}
	})
	if walk == nil {
		return
	}
	walk.passing, walk.widened = true, true // only these are asked
	walk.lookup = newLookup(keyspace.KeyOf(key), n.cfg.K, maxAround, 1, q.lookup.appendAnswered(make([]*Contact, 0, n.cfg.K), n.cfg.K))
	walk.lookup.cfg, walk.lookup.dials = &n.cfg, q.lookup.dials
	walk.lookup.narrow(maxAround)
	walk.step(now)
}

// dead returns how many candidates within a distance have failed, or take their time and
// are thought to. Whom one answer alone has named may never have been.
func (l *Lookup) dead(within uint64) (n int) {
	for i := range l.candidates {
		c := &l.candidates[i]
		if l.distances[i] <= within && (c.state == failed || c.state == slow && l.doubting) && (c.namings > 1 || c.hop == 1) {
			n++
		}
	}
	return n
}
