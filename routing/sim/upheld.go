package sim

import (
	"bytes"
	"slices"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

const (
	// calmFor is how long nobody must have come, gone or been set wrong until a read
	// that misses has no excuse: everybody has probed and refreshed since.
	calmFor = 30 * time.Minute
	// graceOfAge is by how much a record may outlive its validity (reliability.md
	// P22).
	graceOfAge = time.Hour
)

// acknowledged checks that every peer a put names as a holder holds the record,
// unless it has gone meanwhile or is not honest.
func (k *keeping) acknowledged(d *deed, res *kademlia.Result) {
	r := k.run
	for _, id := range res.Report.Holders {
		who := r.index(id)
		if r.plot.role(who) != honest || who < -1 {
			continue // it says so
		}
		if who < 0 {
			r.violated("record %d was acknowledged by nobody of this run", d.record)
			continue
		}
		m := &r.members[who]
		gone := !m.up || m.fate != Fine || k.since[who] >= d.began
		if !gone && !k.holds(who, d.record) {
			r.violated("member %d acknowledged record %d and does not hold it", who, d.record)
		}
	}
}

// judge says whether a read has found its record, and checks that it had to be
// missed if it was: an answer that came in time carried it (a violation whatever
// else happened); or one of the k members truly nearest held it throughout, every
// request was answered, and the network has been calm for a while.
func (k *keeping) judge(d *deed, res *kademlia.Result) (found bool) {
	r, rec := k.run, &k.records[d.record]
	if rec.value != nil {
		found = res.Value != nil
		if found && !bytes.Equal(res.Value, rec.value) {
			r.violated("member %d read another value than was put as record %d", d.who, d.record)
		}
	}
	for _, c := range res.Providers {
		switch {
		case r.is(c.ID, rec.owner):
			found = true
		case r.isHostile(c): // an adversary's word
		default:
			r.violated("member %d was told a provider of record %d that never announced it", d.who, d.record)
		}
	}
	if found = found || d.own; found {
		return true
	}
	holders := k.holdersNear(d)
	if holders == 0 {
		k.sum(d).Gone++
	} else {
		k.sum(d).Missed++
	}
	switch {
	case d.told:
		r.violated("member %d was answered with record %d and did not find it", d.who, d.record)
	case holders > 0 && res.Report.Failed.Total() == 0 && k.calm(d.began):
		r.violated("member %d did not find record %d, which %d of the true nearest hold, in a calm network", d.who, d.record, holders)
	}
	return false
}

// calm reports whether nothing happened that could explain a miss of what began at
// the given time.
func (k *keeping) calm(began int64) bool {
	return k.run.cfg.Faults.Partition == 0 && !k.run.cfg.Adversaries.any() && began-k.trouble > int64(calmFor)
}

// holdersNear counts the members among the k truly nearest to d's record that d's
// member could have asked and that have held it since before d began.
func (k *keeping) holdersNear(d *deed) (n int) {
	r := k.run
	near := r.living.appendClosest(nil, &k.records[d.record].place, r.cfg.Node.K, func(i int32) bool {
		return i != d.who && !r.apart(i, d.who)
	})
	for _, who := range near {
		if k.holds(who, d.record) && k.stocks[who].put[d.record] < d.began {
			n++
		}
	}
	return n
}

// aged checks what a member holds: nothing may be told longer than its validity
// and an hour after it was last put, whatever happened to the clock.
//
// A durable member whose clock was set back while it was down is excused: it
// cannot know how old its records are. They count as new, once for each such time.
func (k *keeping) aged(who int32) {
	s := k.stocks[who]
	if s == nil {
		return
	}
	limit := k.run.now - int64(k.cfg.MaxAge+graceOfAge)
	var old []int32
	for i, at := range s.put {
		if at < limit {
			old = append(old, i)
		}
	}
	slices.Sort(old)
	for _, i := range old {
		if !k.holds(who, i) {
			delete(s.put, i)
			continue
		}
		if k.clocks.Outlived++; !k.cfg.Durable || k.off[who] == 0 {
			k.run.violated("member %d still holds record %d, put last %v ago", who, i, time.Duration(k.run.now-s.put[i]).Round(time.Second))
		}
	}
}

// upheld checks at the end what has not been checked on the way.
func (k *keeping) upheld() {
	if k == nil {
		return
	}
	if n := len(k.open); n > 0 {
		k.run.violated("%d operations on records have not ended", n)
	}
	if k.cfg.Jumps.Share > 0 && k.run.fired[Jumped] == 0 {
		k.run.violated("the fault %q was asked for and never happened", Jumped)
	}
}
