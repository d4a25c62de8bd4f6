package kademlia

import (
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

const (
	// replicatePace is the least time from one copy to the next: twenty a second is
	// what a peer takes from a stranger for ever (rpc.DefaultPeerRate, five units
	// each), so that all may go to one newcomer.
	replicatePace = 50 * time.Millisecond
	// urgentPause is how long half of our neighbours are to have been others before
	// copies are made sooner than planned; the jitter comes to it.
	urgentPause = 30 * time.Second
	// maxHandover bounds the values being handed over at a time when we leave.
	maxHandover = 64
)

// replicator gives copies of the values that are held to those who have come to be
// among the k nearest to their keys: because they are new, or because a nearer one
// has gone. Keys, and with them the work, are in the order of the keyspace, and only
// the nearest of those who hold a value gives copies: all others leave it to that
// one. So a value costs a message for each change among its k nearest, and no
// lookups: what is nearest to a key that we are nearest to is in our own table.
//
// Who holds a value is not asked but concluded: those who were the k nearest when it
// was put here, or when copies were made last. A view of the table is immutable, so
// the one of that time is kept. Changes within a period are taken together: who
// comes and goes in between costs nothing.
//
// Invariants: one sweep runs at a time; copies leave no faster than replicatePace,
// except when we leave ourselves; while nothing changes, nothing is read or sent.
type replicator struct {
	node   *Node
	before *View     // of the last sweep; nil if it is not known who was there
	since  time.Time // when that was
	next   time.Time // when the next sweep is due; zero: nothing has changed
	urgent bool
	sweep  *sweep // nil: none runs
}

// sweep goes once through the values of our part of the keyspace.
type sweep struct {
	began         time.Time
	before, after *View
	since         time.Time
	first, last   keyspace.Key // what is still to be read
	end           bool         // nothing is
	reading       bool
	held          []Held
	pause         time.Time
	leaving       bool
	inFlight      int
	done          func(now time.Time) // when we leave
	near, old     []*Contact          // room
}

// changed tells that somebody has come into the table or left it.
func (r *replicator) changed(now time.Time) {
	period := r.node.cfg.Timing.Replicate
	if r.node.upkeep.stock == nil || period < 0 {
		return
	}
	if r.since.IsZero() {
		r.since = now
	}
	if r.next.IsZero() {
		// From three quarters to five of it, so that neighbours do not work at once.
		r.next = now.Add(period*3/4 + r.jitter(period/2))
	}
	if !r.urgent && r.upheaval() {
		r.urgent = true
		r.next = earlier(r.next, now.Add(urgentPause+r.jitter(urgentPause)))
	}
}

func (r *replicator) jitter(most time.Duration) time.Duration {
	return time.Duration(r.node.cfg.Rand.Int64N(int64(most) + 1))
}

// upheaval reports whether half of our k nearest neighbours are others than at the
// last sweep.
func (r *replicator) upheaval() bool {
	if r.before == nil {
		return false
	}
	k, self := r.node.cfg.K, &r.node.self.Key
	others := 0
	for _, c := range r.node.table.View().AppendClosest(make([]*Contact, 0, k), self, k) {
		if r.before.contact(&c.Key) == nil {
			others++
		}
	}
	return 2*others >= k
}

// forget says that the values of an earlier run may be held by anybody.
func (r *replicator) forget() { r.before = nil }

func (r *replicator) advance(now time.Time) {
	if r.sweep == nil && !r.next.IsZero() && !r.next.After(now) {
		r.start(now, false)
	}
	if r.sweep != nil {
		r.step(now)
	}
}

func (r *replicator) nextDeadline() time.Time {
	switch s := r.sweep; {
	case s == nil:
		return r.next
	case len(s.held) > 0 && !s.leaving:
		return s.pause
	}
	return time.Time{}
}

// Leave gives every value that is held here to who takes our place among the k
// nearest to its key, and calls done when that is over. The caller bounds the time;
// what has not been given then is lost to the network until its publisher puts it
// again.
func (n *Node) Leave(now time.Time, done func(now time.Time)) {
	r := &n.upkeep.replicator
	if n.upkeep.stock == nil || n.cfg.Timing.Replicate < 0 || n.table.Len() == 0 {
		done(now)
		return
	}
	r.start(now, true)
	r.sweep.done = done
	r.step(now)
}

// start begins a sweep, in place of one that runs.
func (r *replicator) start(now time.Time, leaving bool) {
	view := r.node.table.View()
	r.sweep = &sweep{began: now, before: r.before, after: view, since: r.since, pause: now, leaving: leaving}
	r.before, r.since, r.next, r.urgent = view, now, time.Time{}, false
	// Of the buckets up to the first that lacks others nearer than we are, every key has
	// its nearest, or its k nearest, there.
	enough := 1
	if leaving {
		enough = r.node.cfg.K
	}
	bits := 0
	for bits < len(r.node.table.buckets) && r.older(bits, r.sweep.since) >= enough {
		bits++
	}
	r.sweep.first, r.sweep.last = r.node.self.Key.Region(bits)
}

// older returns how many members bucket p has that have been there since t.
func (r *replicator) older(p int, t time.Time) (n int) {
	for i := range r.node.table.buckets[p].members {
		if !r.node.table.buckets[p].members[i].addedAt().After(t) {
			n++
		}
	}
	return n
}

// step goes on with the sweep as far as it may.
func (r *replicator) step(now time.Time) {
	s := r.sweep
	for r.sweep == s && !s.reading {
		switch {
		case len(s.held) > 0 && (!s.leaving && now.Before(s.pause) || s.inFlight >= maxHandover):
			return
		case len(s.held) > 0:
			h := &s.held[0]
			s.held = s.held[1:]
			r.copy(now, s, h)
		case !s.end:
			s.reading = true
			id := r.node.upkeep.readings.expect(func(now time.Time, held []Held, err error) { r.read(now, s, held, err) })
			r.node.upkeep.stock.Range(id, s.first, s.last)
		default:
			if s.inFlight == 0 || !s.leaving {
				r.finish(now, s)
			}
			return
		}
	}
}

// read takes in what the sweep has read.
func (r *replicator) read(now time.Time, s *sweep, held []Held, err error) {
	if r.sweep != s {
		return // another has taken its place
	}
	s.reading, s.held = false, held
	switch {
	case err != nil:
		r.again(now, s)
		return
	case len(held) == 0:
		s.end = true
	default:
		s.first = keyspace.KeyOf(held[len(held)-1].Record.Key)
		s.end = s.first.Compare(&s.last) >= 0 || !s.first.Next()
	}
	r.step(now)
}

// again gives a sweep up that could not read, to try it again later.
func (r *replicator) again(now time.Time, s *sweep) {
	r.before, r.since, r.next = s.before, s.since, now.Add(r.node.cfg.Timing.Retry)
	r.finish(now, s)
}

func (r *replicator) finish(now time.Time, s *sweep) {
	r.sweep = nil
	if s.done != nil {
		s.done(now)
	}
}

// copy gives a value to those of its k nearest that lack it, if that is up to us.
func (r *replicator) copy(now time.Time, s *sweep, h *Held) {
	if h.Left > 0 && h.Left < r.node.cfg.Timing.Retry {
		return // as good as expired
	}
	targets := r.lacking(now, s, h)
	if len(targets) == 0 {
		return
	}
	s.pause = now.Add(time.Duration(len(targets)) * replicatePace)
	s.inFlight++
	r.node.spread(now, putValue(h.Record.WithTTL(h.Left)), targets, func(now time.Time, res Result) {
		r.node.upkeep.copies += uint64(len(res.Report.Holders))
		s.inFlight--
		if s.leaving && r.sweep == s {
			r.step(now)
		}
	})
}

// lacking returns whom we are to give a value, nobody if that is another's task.
func (r *replicator) lacking(now time.Time, s *sweep, h *Held) []*Contact {
	key := keyspace.KeyOf(h.Record.Key)
	k := r.node.cfg.K
	s.near = s.after.AppendClosest(s.near[:0], &key, k)
	kept := r.besides(s.near, &key)
	if s.leaving && len(kept) == k {
		return nil // we are not missed
	}
	put := now.Add(-h.Age)
	if s.before == nil && put.Before(s.since) {
		if s.leaving {
			return s.near[len(kept):]
		}
		return nil // put in an earlier run: others have seen who came and went
	}
	holds := r.holders(s, &key, put)
	var targets []*Contact
	for i, c := range s.near {
		switch has := i < len(kept) && holds(c); {
		case has && !s.leaving && keyspace.CompareDistance(&key, &c.Key, &r.node.self.Key) < 0:
			return nil // who is nearer does it
		case !has && (i < len(kept) || s.leaving):
			targets = append(targets, c)
		}
	}
	return targets
}

// besides returns who of the k others nearest to key is among its k nearest beside
// ourselves: all but the last, if we are nearer than that.
func (r *replicator) besides(nearest []*Contact, key *keyspace.Key) []*Contact {
	k := r.node.cfg.K
	if len(nearest) == k && keyspace.CompareDistance(key, &r.node.self.Key, &nearest[k-1].Key) < 0 {
		return nearest[:k-1]
	}
	return nearest
}

// holders returns who is taken to hold a value that was put here at a time: who was
// among its k nearest at the last sweep, or, if it was put since, who was there by
// then.
func (r *replicator) holders(s *sweep, key *keyspace.Key, put time.Time) func(c *Contact) bool {
	if !put.Before(s.since) {
		return func(c *Contact) bool {
			e := r.node.table.find(&c.Key)
			return e != nil && !e.addedAt().After(put)
		}
	}
	s.old = r.besides(s.before.AppendClosest(s.old[:0], key, r.node.cfg.K), key)
	return func(c *Contact) bool {
		for _, o := range s.old {
			if o.Key == c.Key {
				return true
			}
		}
		return false
	}
}
