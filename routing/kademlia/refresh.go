package kademlia

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// maxRefreshPrefix is the deepest bucket refreshed by a random key; deeper
// ones, our nearest neighbours, are covered by the lookup of our own key
// (wire.md §10).
const maxRefreshPrefix = 15

// maxKeyPrefix bounds how many leading bits a random key is made to share with
// another, which takes twice as many hashes for each: half a million for these.
const maxKeyPrefix = 18

// refresher keeps the table's ranges known: a lookup of our own key, then one
// of a random key in every bucket with room that no lookup has gone through for a
// period, one after another, each until its bucket is full.
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
	forced  bool // this round goes through every bucket
	full    bool // this round fills buckets whole
	planned bool // keys holds what this round is to look up
	keys    [][]byte
	waiters []func(now time.Time)
	held    *query    // the lookup of this round, while it makes way for an operation
	yield   time.Time // until when the first round does
}

// start begins a round, or joins the one that runs. done may be nil.
func (r *refresher) start(now time.Time, forced bool, done func(now time.Time)) {
	if done != nil {
		r.waiters = append(r.waiters, done)
	}
	if r.running {
		if forced && !r.forced {
			r.forced, r.full, r.planned = true, true, false
		}
		r.resume(now)
		return
	}
	r.running, r.forced, r.planned = true, forced, false
	r.full = forced || r.rounds > 0
	r.yield = now.Add(maxYield)
	r.node.takeIn(now)
	r.node.lookAbout(now, r.node.self.Peer.ID, &lookAbout{bucket: keyspace.Bits, enough: r.node.cfg.K}, r.step)
}

// step looks up the next key, or ends the round.
func (r *refresher) step(now time.Time, res Result) {
	if errors.Is(res.Err, ErrBusy) {
		r.end(now)
		return
	}
	if !r.planned {
		r.planned = true
		r.keys = randomKeys(r.node.cfg.Rand, &r.node.table.self, r.wanted(now))
	}
	if len(r.keys) == 0 {
		r.end(now)
		return
	}
	key := r.keys[0]
	r.keys = r.keys[1:]
	target := keyspace.KeyOf(key)
	p := r.node.table.prefix(&target)
	r.node.lookAbout(now, key, &lookAbout{bucket: p, enough: r.share(p)}, r.step)
}

// farBuckets are those in which nearly all lookups begin.
const farBuckets = 3

// share returns how many members this round looks for in bucket p. The first, of a
// node that has just joined, stops at half of what there is room for in the far
// buckets and at a quarter in nearer ones: lookups are as short, answers bring more,
// and who joins costs itself and the others half as much.
func (r *refresher) share(p int) int {
	k := r.node.cfg.K
	switch {
	case r.full:
		return r.node.table.whole(p, r.rounds)
	case p < farBuckets:
		return (k + 1) / 2
	default:
		return (k + 3) / 4
	}
}

// enough returns how many members this round gives bucket p, of those it hears of: its
// share, and all there is room for where our k nearest neighbours are.
func (r *refresher) enough(p int) int { return r.within(p, r.node.table.depth()) }

// within is enough where our k nearest neighbours are in bucket near and beyond.
func (r *refresher) within(p, near int) int {
	if near == keyspace.Bits || p >= near {
		return max(r.node.cfg.K, r.share(p))
	}
	return r.share(p)
}

// lacking returns how many members each bucket lacks, and as the last what a bucket
// that does not exist yet lacks.
func (r *refresher) lacking() []int {
	t := r.node.table
	near := t.depth()
	lacking := make([]int, len(t.buckets)+1)
	for p := range lacking {
		lacking[p] = r.within(p, near) - t.members(p)
	}
	return lacking
}

// wanted returns the buckets to go through, a bit each: those that lack members
// and that no lookup has gone through for a period. Buckets deeper than the k-th
// nearest peer hold nobody whom the lookup of our own key has not named.
func (r *refresher) wanted(now time.Time) (set uint32) {
	t := r.node.table
	due := instantOf(now) - instant(r.node.cfg.Timing.Refresh)
	deepest := min(t.depth(), maxRefreshPrefix, len(t.buckets)-1)
	for p := 0; p <= deepest; p++ {
		b := &t.buckets[p]
		if r.forced || len(b.members)+r.node.prober.expected(p) < r.share(p) && b.refreshed <= due {
			set |= 1 << p
		}
	}
	return set
}

func (r *refresher) end(now time.Time) {
	r.running, r.forced, r.keys = false, false, nil
	r.schedule(now)
	waiters := r.waiters
	r.waiters = nil
	for _, done := range waiters {
		done(now)
	}
}

// lookAbout is the goal of a refresh: it is reached when its bucket has enough
// members.
type lookAbout struct {
	findNode
	bucket, enough int
}

func (g *lookAbout) response(now time.Time, q *query, _ *Contact, _ *protocol.Message) bool {
	missing := g.missing(q.node.table)
	if missing > 0 {
		q.lookup.narrow(missing)
		return false
	}
	q.node.table.buckets[g.bucket].refreshed = instantOf(now)
	return true
}

// missing returns how many members the bucket lacks: to have more requests than
// that in flight would be in vain.
func (g *lookAbout) missing(t *Table) int { return g.enough - t.members(g.bucket) }

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
	r.resume(now)
	if !r.running && !r.next.IsZero() && !r.next.After(now) {
		r.next = time.Time{}
		r.rounds++
		r.start(now, false, nil)
	}
}

func (r *refresher) nextDeadline() time.Time {
	switch {
	case !r.yield.IsZero() && (r.held != nil || len(r.node.prober.waiting) > 0):
		return r.yield
	case r.running:
		return time.Time{}
	}
	return r.next
}

// randomKeys returns, for every bit p of wanted, a random preimage whose key shares
// exactly p leading bits with self, in the order of p. It tries about 2^(p+1) of
// them for the greatest p, and nobody can foretell which.
func randomKeys(rng *rand.Rand, self *keyspace.Key, wanted uint32) [][]byte {
	var found [maxKeyPrefix + 1][]byte
	preimage := make([]byte, 32)
	for i := 0; i < len(preimage); i += 8 {
		binary.BigEndian.PutUint64(preimage[i:], rng.Uint64())
	}
	left := wanted & (1<<len(found) - 1)
	for n := rng.Uint64(); left != 0; n++ {
		binary.BigEndian.PutUint64(preimage, n)
		key := keyspace.KeyOf(preimage)
		if p := keyspace.CommonPrefixLen(self, &key); p < len(found) && left>>p&1 != 0 {
			found[p] = bytes.Clone(preimage)
			left &^= 1 << p
		}
	}
	return slices.DeleteFunc(found[:], func(key []byte) bool { return key == nil })
}
