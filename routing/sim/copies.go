package sim

import (
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
)

// The ways in which members keep the values they hold where these are looked for;
// see Records.Copies.
const (
	// CopiesOnChange is what nodes do: who has come to be among the k nearest to a
	// value is given it by the nearest of those who hold it, and who leaves in order
	// hands over what it holds, within a second.
	CopiesOnChange = "on-change"
	// CopiesHourly is what the paper says (§2.5), with its first optimisation: every
	// hour each holder puts every value to the k nearest peers, unless somebody else
	// has put it there within that hour. It is here to be compared with.
	CopiesHourly = "hourly"
)

// copying is what a run knows of the copies that members make.
type copying struct {
	readings  []reading // those under way, and those before the last of them
	underway  int       // how many are
	given     int       // copies sent
	asked     int       // requests sent for them
	handovers int       // members that left in order while they held values
}

// reading is the answer to one reading of a member's stock, on its way.
type reading struct {
	id   kademlia.ReadID
	life uint32
	held []kademlia.Held
}

const (
	// readTime is how long a reading takes, most how many values one returns.
	readTime = time.Millisecond
	readMost = 64
	// farewell is how long a member that leaves in order is there to hand over.
	farewell = time.Second
)

// copier is a member's kademlia.Stock. Own values are put again by the run, as an
// application would: it is not asked for any.
type copier struct {
	k   *keeping
	who int32
}

func (c *copier) Own(kademlia.ReadID, []byte) { panic("BUG: a member publishes by itself") }

// Range implements kademlia.Stock: what is held now is handed over in a moment.
func (c *copier) Range(id kademlia.ReadID, first, last keyspace.Key) {
	k := c.k
	r := reading{id: id, life: k.run.members[c.who].life}
	if s := k.stocks[c.who]; s != nil {
		err := s.values.Range(k.clock(c.who), first, last, func(rec protocol.Record, age, left time.Duration) bool {
			r.held = append(r.held, kademlia.Held{Record: rec, Age: age, Left: left})
			return len(r.held) < readMost
		})
		if err != nil {
			k.run.violated("member %d: %v", c.who, err)
		}
	}
	k.copying.underway++
	k.copying.readings = append(k.copying.readings, r)
	k.run.queue.push(k.run.now+int64(readTime), handOver, c.who, int32(len(k.copying.readings)-1))
}

// hasRead hands a reading to its member.
func (k *keeping) hasRead(who, at int32) {
	r := k.copying.readings[at]
	if k.copying.underway--; k.copying.underway == 0 {
		k.copying.readings = nil
	} else {
		k.copying.readings[at].held = nil
	}
	m := &k.run.members[who]
	if m.up && m.life == r.life {
		k.run.act(who, func(now time.Time) { m.node.HandleHeld(now, r.id, r.held, nil) })
	}
}

// copies has a member that has come up keep copies.
func (k *keeping) copies(who int32) {
	switch m := &k.run.members[who]; k.cfg.Copies {
	case CopiesOnChange:
		m.node.SetStock(&copier{k, who})
	case CopiesHourly:
		k.run.queue.push(k.run.now+int64(k.rng.Float64()*float64(k.cfg.CopyEvery)), copyAll, who, int32(m.life))
	}
}

// counted takes in what the node of a member that goes down has copied.
func (k *keeping) counted(who int32) {
	n := k.run.members[who].node.Copied()
	k.copying.given += int(n)
	k.copying.asked += int(n)
}

// copiesAll has a member put again what nobody else has put there for a while.
func (k *keeping) copiesAll(who, life int32) {
	m := &k.run.members[who]
	if !m.up || m.life != uint32(life) {
		return
	}
	k.run.queue.push(k.run.now+int64(k.cfg.CopyEvery), copyAll, who, life)
	s := k.stocks[who]
	if s == nil || m.client {
		return
	}
	var due []int32
	for i, at := range s.put {
		if k.records[i].value != nil && at <= k.run.now-int64(k.cfg.CopyEvery) && k.holds(who, i) {
			due = append(due, i)
		}
	}
	slices.Sort(due)
	for _, i := range due {
		left := k.cfg.MaxAge - time.Duration(k.run.now-s.put[i])
		s.put[i] = k.run.now
		k.run.act(who, func(now time.Time) {
			m.node.Store(now, k.records[i].recordOf().WithTTL(left), func(_ time.Time, res kademlia.Result) {
				k.copying.given += len(res.Report.Holders)
				k.copying.asked += res.Report.Asked
			})
		})
	}
}

// leavesInOrder has a member hand over what it holds and go down in a moment, and
// reports whether it does.
func (k *keeping) leavesInOrder(who int32) bool {
	if k == nil || k.cfg.Copies != CopiesOnChange || k.stocks[who] == nil || k.run.members[who].fate != Fine {
		return false
	}
	m := &k.run.members[who]
	k.copying.handovers++
	k.run.act(who, func(now time.Time) { m.node.Leave(now, func(time.Time) {}) })
	k.run.queue.push(k.run.now+int64(farewell), gone, who, int32(m.life))
	return true
}
