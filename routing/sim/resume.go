package sim

import (
	"errors"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

// Comeback says how members come back that were there before.
type Comeback struct {
	// Saved has them begin with the contacts of the table they had when they went,
	// each verified first (kademlia's Snapshot and Seed), instead of an anchor. Who
	// still knows nobody after 30 s turns to one all the same.
	Saved bool
	// Anchor has them turn to the first anchor besides: programs are configured with
	// such an address. Without it, a part of the network that was cut off and
	// restarts knows nobody outside.
	Anchor bool
	// Share is how many of all members but the anchors restart once, half of them
	// without a word, between After and After+Within from the first lookup, to come
	// back Down later (10 s).
	Share               float64
	After, Within, Down time.Duration
}

func (c *Comeback) fill() { orDefault(&c.Down, 10*time.Second) }

func (c *Comeback) check() error {
	if !(c.Share >= 0 && c.Share <= 1) || c.After < 0 || c.Within < 0 || c.Down < 0 {
		return errors.New("sim: Churn.Comeback: Share must lie between 0 and 1, After, Within and Down must not be negative")
	}
	return nil
}

// Recovered is how well members did that came back, 20 s after they had.
type Recovered struct {
	Back int
	// Size is the mean number of members of their tables, Known the share of their
	// true k nearest neighbours in them, Least the smallest such share.
	Size, Known, Least float64
}

// comebacks is what the run knows of members that were there before.
type comebacks struct {
	saved map[int32][]*kademlia.Contact // tables of those that are down
	sum   Recovered                     // Size and Known in all
}

// planComebacks plans the restarts of Comeback.Share.
func (r *run) planComebacks() {
	c := &r.cfg.Churn.Comeback
	r.comebacks.saved = make(map[int32][]*kademlia.Contact)
	for i := int32(Anchors); c.Share > 0 && int(i) < r.cfg.Nodes; i++ {
		if r.rng.Float64() < c.Share {
			at := r.begin + int64(c.After) + int64(r.rng.Float64()*float64(c.Within))
			r.queue.push(at, restart, i, 1)
		}
	}
}

// goesAndComes has a member that serves go, and come back a while later.
func (r *run) goesAndComes(i int32) {
	m := &r.members[i]
	if !m.up || m.fate == Hung {
		return
	}
	r.fired[Restarted]++
	how := Refuse
	if r.rng.Uint64()&1 == 0 {
		how = BlackHole
	}
	r.goesDown(i, how)
	r.queue.push(r.now+int64(r.cfg.Churn.Comeback.Down), join, i, 0)
}

// saves keeps the table of a member that goes down.
func (r *run) saves(i int32) {
	if r.cfg.Churn.Comeback.Saved {
		r.comebacks.saved[i] = r.members[i].node.Snapshot()
	}
}

// resumes has a member that has just come up begin with the table it had, and
// reports whether it had any.
func (r *run) resumes(i int32) bool {
	m, seeds := &r.members[i], r.comebacks.saved[i]
	delete(r.comebacks.saved, i)
	if len(seeds) == 0 {
		return false
	}
	r.act(i, func(now time.Time) {
		if r.cfg.Churn.Comeback.Anchor {
			m.node.PeerSeen(now, r.members[0].contact)
		}
		m.node.Seed(now, seeds)
	})
	r.queue.push(r.now+int64(30*time.Second), join, i, int32(m.life))
	return true
}

// recovery is when those are judged that have come back: sooner than who finds
// none of its old contacts turns to an anchor.
const recovery = 20 * time.Second

// cameBack plans to judge a member that has come up, if it was there before.
func (r *run) cameBack(i int32) {
	if life := r.members[i].life; life > 1 {
		r.queue.push(r.now+int64(recovery), weigh, i, int32(life))
	}
}

// weighs judges the table of a member that has come back in this life.
func (r *run) weighs(i, life int32) {
	m := &r.members[i]
	if !m.up || m.life != uint32(life) {
		return
	}
	known, wanted := 0, 0
	near := r.living.appendClosest(nil, r.keyOf(i), r.cfg.Node.K, func(w int32) bool { return w != i && !r.apart(w, i) })
	for _, who := range near {
		wanted++
		if m.node.View().Contains(r.members[who].contact.ID) {
			known++
		}
	}
	share := float64(known) / float64(max(1, wanted))
	s := &r.comebacks.sum
	if s.Back == 0 || share < s.Least {
		s.Least = share
	}
	s.Back++
	s.Size += float64(m.node.View().Len())
	s.Known += share
}

// back sums up how those did that came back; nil if nobody did.
func (r *run) back() *Recovered {
	s := r.comebacks.sum
	if s.Back == 0 {
		return nil
	}
	s.Size /= float64(s.Back)
	s.Known /= float64(s.Back)
	return &s
}

// back writes how those did that came back, for people.
func (e *text) back(b *Recovered) {
	if b != nil {
		e.printf("returns   %d; 20 s later %.0f members, %.4f of the true neighbours known, at least %.2f\n", b.Back, b.Size, b.Known, b.Least)
	}
}
