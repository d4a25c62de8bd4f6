package kademlia

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// maxRefreshPrefix is the deepest bucket refreshed by a random key; deeper
// ones, our nearest neighbours, are covered by the lookup of our own key
// (wire.md §10).
const maxRefreshPrefix = 15

// refresher keeps the table's ranges known: a lookup of our own key, then one
// of a random key in every bucket that no lookup has gone through for a period,
// one after another.
//
// Peers that join at the same moment may miss each other, and in a small network
// nobody else makes them meet: while the table is smaller than k, the first
// rounds follow each other quickly.
//
// Invariant: at most one round runs.
type refresher struct {
	node    *Node
	next    time.Time // when the next round is due; zero before the first
	rounds  int       // that came by schedule since the first peer did
	running bool
	forced  bool // this round refreshes every bucket
	bucket  int  // the bucket to look at next
	waiters []func(now time.Time)
}

// start begins a round, or joins the one that runs. done may be nil.
func (r *refresher) start(now time.Time, forced bool, done func(now time.Time)) {
	if done != nil {
		r.waiters = append(r.waiters, done)
	}
	if r.running {
		if forced && !r.forced {
			r.forced, r.bucket = true, 0
		}
		return
	}
	r.forced = forced
	r.running, r.bucket = true, 0
	r.node.FindNode(now, r.node.self.Peer.ID, r.step)
}

// step looks up a key in the next bucket that needs it, or ends the round.
func (r *refresher) step(now time.Time, res Result) {
	if errors.Is(res.Err, ErrBusy) {
		r.end(now)
		return
	}
	t := r.node.table
	for ; r.bucket < len(t.buckets) && r.bucket <= maxRefreshPrefix; r.bucket++ {
		due := instantOf(now) - instant(r.node.cfg.Timing.Refresh)
		if r.forced || t.buckets[r.bucket].refreshed <= due {
			key := randomKeyIn(r.node.cfg.Rand, &t.self, r.bucket)
			r.bucket++
			r.node.FindNode(now, key, r.step)
			return
		}
	}
	r.end(now)
}

func (r *refresher) end(now time.Time) {
	r.running, r.forced = false, false
	r.schedule(now)
	waiters := r.waiters
	r.waiters = nil
	for _, done := range waiters {
		done(now)
	}
}

// early are the pauses before the first rounds by schedule of a small table.
var early = [...]time.Duration{2 * time.Second, 10 * time.Second, time.Minute}

// schedule sets the time of the next round.
func (r *refresher) schedule(now time.Time) {
	period := r.node.cfg.Timing.Refresh
	if period <= 0 {
		return
	}
	if r.rounds < len(early) && r.node.table.Len() < r.node.cfg.K {
		period = min(period, early[r.rounds])
	}
	r.next = now.Add(period)
}

// covered notes that a lookup for target has run to its end.
func (r *refresher) covered(now time.Time, target *keyspace.Key) {
	if p := r.node.table.prefix(target); p < len(r.node.table.buckets) {
		r.node.table.buckets[p].refreshed = instantOf(now)
	}
}

func (r *refresher) advance(now time.Time) {
	if !r.running && !r.next.IsZero() && !r.next.After(now) {
		r.next = time.Time{}
		r.rounds++
		r.start(now, false, nil)
	}
}

func (r *refresher) nextDeadline() time.Time {
	if r.running {
		return time.Time{}
	}
	return r.next
}

// randomKeyIn returns a random preimage whose key shares exactly prefix leading
// bits with self. It tries about 2^(prefix+1) of them, which nobody can foretell.
func randomKeyIn(rng *rand.Rand, self *keyspace.Key, prefix int) []byte {
	preimage := make([]byte, 32)
	for i := 0; i < len(preimage); i += 8 {
		binary.BigEndian.PutUint64(preimage[i:], rng.Uint64())
	}
	for n := rng.Uint64(); ; n++ {
		binary.BigEndian.PutUint64(preimage, n)
		if key := keyspace.KeyOf(preimage); keyspace.CommonPrefixLen(self, &key) == prefix {
			return preimage
		}
	}
}
