package kademlia

import (
	"maps"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxVisit is how many keys one visit has at the most. It bounds memory, some
	// 300 bytes each, and what one moment costs.
	maxVisit = 4096
	// maxLookups is how many lookups one visit makes at the most: two or three suffice
	// where peers lie as chance would have it.
	maxLookups = 16
	// maxAlone is how many keys are announced at a time that need a lookup of their own.
	maxAlone = 4
)

// visit announces the keys of one part of the keyspace: it finds out who lives there,
// until the k nearest to each of its keys are known, gives each of these peers all keys
// that it is near to, and tells the keystore what became of them.
//
// Keys whose nearest lie closer together than chance would have it are announced each by
// itself, which reaches all of the region (see RegionMode).
type visit struct {
	r         *reprovider
	outOfTurn bool
	began     time.Time
	keys      []Key        // in order
	last      keyspace.Key // the end of the part
	lookups   int
	asked     int
	doubtful  bool // a lookup found too few, and there may be others
	at        int  // the first key that is not known to be sure
	alone     []int
	lone      int // of these, under way
	delivery
}

// begin starts a visit of the part of the keyspace in which the first of keys lies. end is
// how far keys reach if they are not cut short.
func (r *reprovider) begin(now time.Time, outOfTurn bool, keys []Key, end keyspace.Key) {
	read := len(keys)
	if read == maxVisit {
		end = keys[read-1].Place
	}
	if !outOfTurn {
		keys = r.stale(now, keys)
	}
	if len(keys) == 0 {
		r.moveTo(now, end)
		return
	}
	if !r.node.self.HasAddrs() {
		r.backOff(now)
		return
	}
	v := &visit{r: r, outOfTurn: outOfTurn, began: now, keys: keys, last: end}
	v.delivery.visit = v
	r.visit = v
	maps.DeleteFunc(r.slow, func(_ peer.ID, at time.Time) bool { return now.Sub(at) > chartLife })
	c := &r.chart
	if now.Sub(c.since) > chartLife || len(c.peers) < c.k { // few: more may have come
		*c = chart{k: r.node.cfg.K}
	} else if _, sure := c.nearest(nil, &keys[0].Place, c.k); !sure {
		*c = chart{k: r.node.cfg.K}
	}
	v.explore(now)
}

// stale leaves out of keys those that have been announced a short while ago: out of turn,
// or by a run that did not live to move the cursor.
func (r *reprovider) stale(now time.Time, keys []Key) []Key {
	most := r.period / fresh
	kept := keys[:0]
	for _, k := range keys {
		if age := now.Sub(k.Last); k.Due || k.Last.IsZero() || age < -most || age >= most {
			kept = append(kept, k)
		}
	}
	return kept
}

// explore looks up keys until the k nearest to each are known. The first lookup says how
// far the part of the keyspace reaches in which these are the same few peers; the others
// are of keys where nobody has looked, because those tell most, while there are any.
func (v *visit) explore(now time.Time) {
	c := &v.r.chart
	near, sure := c.nearest(nil, &v.keys[0].Place, c.k)
	if v.doubtful { // another lookup would fare no better
		v.cut(near)
		v.deliver(now)
		return
	}
	if !sure && v.lookups < maxLookups {
		v.lookUp(now, &v.keys[0])
		return
	}
	v.cut(near)
	for i := range v.keys {
		if at := prefixOf(&v.keys[i].Place); v.lookups < maxLookups && !c.covers(span{at, at}) {
			v.lookUp(now, &v.keys[i])
			return
		}
	}
	for ; v.at < len(v.keys) && v.lookups < maxLookups; v.at++ {
		if near, sure = c.nearest(near[:0], &v.keys[v.at].Place, c.k); !sure {
			v.lookUp(now, &v.keys[v.at])
			return
		}
	}
	v.deliver(now)
}

// cut leaves to later visits the keys that do not lie where the first does.
func (v *visit) cut(near []*Contact) {
	k, first := v.r.node.cfg.K, &v.keys[0].Place
	if len(near) < k {
		return
	}
	_, last := first.Region(keyspace.CommonPrefixLen(first, &near[k-1].Key))
	if last.Compare(&v.last) >= 0 {
		return
	}
	v.last = last
	n := len(v.keys)
	for n > 0 && v.keys[n-1].Place.Compare(&last) > 0 {
		n--
	}
	v.keys = v.keys[:n:n]
}

// lookUp finds the k nearest to a key.
func (v *visit) lookUp(now time.Time, key *Key) {
	v.lookups++
	q := v.r.node.query(now, protocol.FindNode, key.Hash, findNode{}, func(now time.Time, res Result) {
		v.asked += res.Report.Asked
		if res.Err != nil {
			v.giveUp(now)
			return
		}
		n := v.r.node
		all := res.Report.Failed.Total() == 0 && n.View().Len() < n.cfg.K
		v.doubtful = len(res.Closest) < n.cfg.K && !all
		v.r.chart.note(now, &key.Place, res.Closest, all)
		v.explore(now)
	})
	if q != nil {
		q.passing = true
		q.start(now)
	}
}

// giveUp ends a visit that found nobody: all its keys stay where they are.
func (v *visit) giveUp(now time.Time) {
	r := v.r
	r.stats.Now.Asked += v.asked
	r.visit, r.chart, r.few = nil, chart{}, few{since: now}
	r.backOff(now)
}

// deliver hands every key to the peers nearest to it.
func (v *visit) deliver(now time.Time) {
	n := v.r.node
	v.start(now)
	least := n.leastSize(now)
	var near []*Contact
	for i := range v.keys {
		near, _ = v.r.chart.nearest(near[:0], &v.keys[i].Place, n.cfg.K)
		if n.cfg.Region == RegionAlways || n.cfg.Region == RegionWhenDense && len(near) >= n.cfg.K &&
			dense(least, n.cfg.K, prefixOf(&v.keys[i].Place)^prefixOf(&near[n.cfg.K-1].Key)) {
			v.alone = append(v.alone, i)
			continue
		}
		v.assign(i, near)
	}
	v.step(now)
}

// step goes on with a visit that has found its peers.
func (v *visit) step(now time.Time) {
	if v.until.IsZero() {
		return // still exploring
	}
	if v.pass(now); !now.Before(v.until) {
		v.alone = nil // they are due, and have their turn again
	}
	v.announceAlone(now)
	done := v.lone == 0 && len(v.alone) == 0 || !now.Before(v.until)
	if v.r.visit == v && done && v.over(now) {
		v.end(now)
	}
}

// announceAlone announces those keys by themselves that need it.
func (v *visit) announceAlone(now time.Time) {
	for v.lone < maxAlone && len(v.alone) > 0 {
		i := v.alone[0]
		v.alone = v.alone[1:]
		v.lone++
		v.r.node.Provide(now, v.keys[i].Hash, func(now time.Time, res Result) {
			if v.r.visit != v {
				return // it is over
			}
			v.lone--
			v.holders[i] = uint8(min(len(res.Report.Holders), 255))
			v.asked += res.Report.Asked - len(res.Report.Holders)
			v.sent += len(res.Report.Holders)
			v.step(now)
		})
		if v.r.visit != v {
			return
		}
	}
}

// end tells the keystore what became of the keys.
func (v *visit) end(now time.Time) {
	r := v.r
	told := Visited{At: now, Cursor: r.cursor}
	need := v.needed(now)
	v.forget()
	for i := range v.keys {
		if int(v.holders[i]) >= need {
			told.Taken = append(told.Taken, v.keys[i])
		} else {
			told.Failed = append(told.Failed, v.keys[i])
		}
	}
	v.count(now, &told)
	r.visit, r.fails = nil, 0
	r.pause = now.Add(visitPause)
	if len(told.Failed) > 0 {
		r.node.KeysDue(now.Add(r.retry()))
	}
	if v.outOfTurn {
		r.turn.taken, r.turn.failed = r.turn.taken || len(told.Taken) > 0, r.turn.failed || len(told.Failed) > 0
		if r.turn.next = v.last; !r.turn.next.Next() {
			r.turn.end()
		}
	} else {
		r.moveTo(now, v.last)
		told.Cursor = r.cursor
	}
	id := r.ask(func(now time.Time, _ []Key, err error) {
		if err != nil { // what was taken may be announced once more
			r.backOff(now)
		}
		r.advance(now)
	})
	r.keys.Visited(id, told)
}

// count adds a visit to what the cycle has done.
func (v *visit) count(now time.Time, told *Visited) {
	c := &v.r.stats.Now
	c.Visits++
	c.Keys += len(v.keys)
	c.Taken += len(told.Taken)
	c.Failed += len(told.Failed)
	c.Asked += v.asked
	c.Sent += v.sent
	c.Refused += v.refused
	c.Most = max(c.Most, v.sent)
	c.Longest = max(c.Longest, now.Sub(v.began))
}

// nextDeadline returns when step is to be called next.
func (v *visit) nextDeadline() time.Time {
	if v.until.IsZero() {
		return time.Time{} // the lookup has deadlines of its own
	}
	return v.delivery.nextDeadline()
}
