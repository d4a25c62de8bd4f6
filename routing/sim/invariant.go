package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
)

// ErrInvariant means that a run broke an invariant, or that a fault it was to
// have never happened.
var ErrInvariant = errors.New("an invariant of the simulation does not hold")

const (
	// longestLookup is when a lookup that has not ended waits for something that
	// will not come.
	longestLookup = 3 * time.Minute
	// mostAsked bounds the requests of one lookup, as the core does.
	mostAsked = 256
)

// checks watches the run's lookups and holds what is wrong so far.
type checks struct {
	run        *run
	running    map[lookupID]*watched
	starting   *watched // being started: its number is not known yet
	asking     *watched // whose request goes out next
	ended      int
	outcomes   []outcome
	violations []string
	broken     int
	busy       map[int32]int // lookups under way by member
	departures departures
	storage    storage
}

type lookupID struct {
	who   int32
	query kademlia.QueryID
}

// watched is one lookup under way.
type watched struct {
	checks *checks
	id     lookupID
	target keyspace.Key
	since  int64
	asked  []asked
	dials  int
	astray int // dials to addresses where nobody is
	ends   int
	truth  int  // answers and failures seen
	base   bool // walked by a baseline, which keeps no promise of ours
}

// asked is one request of a lookup.
type asked struct {
	to      int32
	at      int64
	settled bool
	lost    bool // could not be reached
	slow    bool // has lost its slot
	contact *kademlia.Contact
}

// outcome is how a lookup ended.
type outcome struct {
	began, took     int64
	asked, hops     uint16
	answered        uint16
	dials, failed   uint16
	right, wanted   uint8 // of the true k nearest, how many were found
	met             uint8 // and how many have answered
	exact, ok, base bool
	suffered
}

func newChecks(r *run) checks {
	return checks{
		run: r, running: make(map[lookupID]*watched), busy: make(map[int32]int), outcomes: make([]outcome, 0, r.cfg.Lookups),
		departures: departures{failed: make(map[pair]int64)},
	}
}

// trace returns what all nodes report to.
func (c *checks) trace() *kademlia.Trace {
	return &kademlia.Trace{
		Asking: func(q kademlia.QueryID, to *kademlia.Contact, _ int) { c.asks(q, to) },
		Answered: func(q kademlia.QueryID, from *kademlia.Contact, closer []*kademlia.Contact) {
			c.believes(from, closer)
			c.settles(q, from, nil)
		},
		Slow: c.slows,
		Failed: func(q kademlia.QueryID, to *kademlia.Contact, err error) {
			c.departures.fails(c.run, c.run.acting, c.run.index(to.ID))
			c.settles(q, to, err)
		},
		Admitted: func(*kademlia.Contact) { c.admits() },
		Evicted:  c.evicts,
	}
}

// watch begins to watch a lookup that is about to start.
func (c *checks) watch(who int32, key []byte) *watched {
	w := &watched{checks: c, id: lookupID{who: who}, target: keyspace.KeyOf(key), since: c.run.now}
	c.busy[who]++
	return w
}

func (c *checks) find(q kademlia.QueryID) *watched {
	if w := c.starting; w != nil && w.id.who == c.run.acting {
		if w.id.query == 0 {
			w.id.query = q
			c.running[w.id] = w
		}
		if w.id.query == q {
			return w
		}
	}
	return c.running[lookupID{c.run.acting, q}]
}

// asks checks that a lookup may ask this peer now.
func (c *checks) asks(q kademlia.QueryID, to *kademlia.Contact) {
	w := c.find(q)
	c.asking = w
	if w == nil {
		return
	}
	r, who := c.run, c.run.index(to.ID)
	slots := 1
	for i := range w.asked {
		a := &w.asked[i]
		if a.to == who && !(a.lost && !sameAddrs(a.contact, to)) {
			r.violated("lookup %d of member %d asks member %d twice", q, w.id.who, who)
		}
		if !a.settled && !a.slow {
			slots++
		}
	}
	most := r.cfg.Node.Alpha
	if w.truth > 0 {
		most = max(most, r.cfg.Node.K)
	}
	if slots > most {
		r.violated("lookup %d of member %d has %d requests in flight, at most %d are allowed", q, w.id.who, slots, most)
	}
	w.asked = append(w.asked, asked{to: who, at: r.now, contact: to})
	if len(w.asked) > mostAsked {
		r.violated("lookup %d of member %d has asked %d peers", q, w.id.who, len(w.asked))
	}
}

func sameAddrs(a, b *kademlia.Contact) bool {
	return slices.EqualFunc(a.Peer.Addrs, b.Peer.Addrs, func(x, y []byte) bool { return string(x) == string(y) })
}

// believes checks that an answer, however long, brings no more than an honest one
// could.
func (c *checks) believes(from *kademlia.Contact, closer []*kademlia.Contact) {
	if most := max(protocol.MaxAnswerPeers, c.run.cfg.Node.K+1); len(closer) > most {
		c.run.violated("an answer of member %d brought %d peers, at most %d may be taken", c.run.index(from.ID), len(closer), most)
	}
	for _, p := range closer {
		if len(p.Peer.Addrs) > protocol.MaxAddrs {
			c.run.violated("an answer of member %d brought %d addresses of a peer", c.run.index(from.ID), len(p.Peer.Addrs))
		}
	}
}

// settles notes that a request of a lookup has had its outcome.
func (c *checks) settles(q kademlia.QueryID, peer *kademlia.Contact, err error) {
	if err == nil {
		c.run.records.answered(q)
	}
	w := c.find(q)
	if w == nil {
		return
	}
	w.truth++
	who := c.run.index(peer.ID)
	for i := range w.asked {
		if a := &w.asked[i]; a.to == who && !a.settled {
			a.settled, a.lost = true, err != nil
			return
		}
	}
	if err != nil {
		c.run.violated("lookup %d of member %d: a request to member %d failed that was not under way", q, w.id.who, who)
	}
}

// slows notes that a request has lost its slot.
func (c *checks) slows(q kademlia.QueryID, peer *kademlia.Contact) {
	w := c.find(q)
	if w == nil {
		return
	}
	who := c.run.index(peer.ID)
	for i := range w.asked {
		if a := &w.asked[i]; a.to == who && !a.settled {
			a.slow = true
		}
	}
}

// dialled counts a dial for the lookup whose request caused it; astray says that
// nobody is at the address.
func (c *checks) dialled(astray bool) {
	if w := c.asking; w != nil {
		w.dials++
		w.astray += int(one(astray))
	}
}

// sleeps checks a node that waits for nothing.
func (c *checks) sleeps(who int32) {
	if c.busy[who] > 0 && c.waitsOn(who) {
		c.run.violated("member %d has a lookup under way and no deadline", who)
	}
}

// waitsOn reports whether a lookup of the member is really under way.
func (c *checks) waitsOn(who int32) bool {
	for id := range c.running {
		if id.who == who {
			return true
		}
	}
	return false
}

// died forgets the lookups of a member that is no more.
func (c *checks) died(who int32) {
	if c.busy[who] == 0 {
		return
	}
	for id, w := range c.running {
		if id.who == who {
			delete(c.running, id)
			w.ends++
			c.ended++
		}
	}
	delete(c.busy, who)
}

// done is what the lookup calls at its end.
func (w *watched) done(_ time.Time, res kademlia.Result) {
	c := w.checks
	r := c.run
	if w.ends++; w.ends > 1 {
		r.violated("lookup %d of member %d ended %d times", w.id.query, w.id.who, w.ends)
		return
	}
	delete(c.running, w.id)
	if c.busy[w.id.who]--; c.busy[w.id.who] <= 0 {
		delete(c.busy, w.id.who)
	}
	c.ended++
	if len(res.Closest) > r.cfg.Node.K {
		r.violated("lookup %d of member %d returned %d peers", w.id.query, w.id.who, len(res.Closest))
	}
	rep := &res.Report
	o := outcome{
		began: w.since, took: r.now - w.since, asked: uint16(rep.Asked), answered: uint16(rep.Answered), hops: uint16(rep.Hops),
		dials: uint16(w.dials), failed: uint16(rep.Failed.Total()), ok: res.Err == nil, base: w.base,
	}
	w.compare(&o, res.Closest)
	w.suffer(&o, res.Closest)
	c.outcomes = append(c.outcomes, o)
}

// compare counts how many of the peers truly nearest were found.
func (w *watched) compare(o *outcome, found []*kademlia.Contact) {
	r := w.checks.run
	var room [64]int32
	truth := r.living.appendClosest(room[:0], &w.target, r.cfg.Node.K, func(i int32) bool {
		return i != w.id.who && !r.apart(i, w.id.who)
	})
	o.wanted = uint8(len(truth))
	o.exact = len(truth) == len(found)
	for i, who := range truth {
		if slices.ContainsFunc(found, func(c *kademlia.Contact) bool { return r.index(c.ID) == who }) {
			o.right++
		}
		if slices.ContainsFunc(w.asked, func(a asked) bool { return a.to == who && a.settled && !a.lost }) {
			o.met++
		}
		o.exact = o.exact && r.index(found[i].ID) == who
	}
}

// verdict completes the report with what holds only at the end, and returns an
// error if anything is wrong.
func (r *run) verdict(rep *Report) error {
	for id := range r.checks.running {
		r.violated("lookup %d of member %d has not ended", id.query, id.who)
	}
	if under := uint64(len(r.net.all)-len(r.net.free)) + r.net.more; r.net.sent != r.net.ended+under {
		r.violated("%d requests, %d outcomes and %d under way", r.net.sent, r.net.ended, under)
	}
	if least := r.cfg.MinExact; least > 0 && rep.CleanExact < least {
		r.violated("%.4f of the lookups without a failure found exactly the true nearest, not %.4f", rep.CleanExact, least)
	}
	r.records.upheld()
	r.sometimes()
	rep.Broken, rep.Violations = r.checks.broken, r.checks.violations
	if rep.Broken == 0 {
		return nil
	}
	return fmt.Errorf("%w (%d in all; run again with seed %d): %s", ErrInvariant, rep.Broken, r.cfg.Seed, strings.Join(rep.Violations, "; "))
}

// sometimes checks that every fault asked for has happened: a run that met none
// shows nothing.
func (r *run) sometimes() {
	f := &r.cfg.Faults
	for _, want := range []struct {
		asked bool
		fault Fault
	}{
		{f.Refuse > 0, Refuse},
		{f.BlackHole > 0, BlackHole},
		{f.Hung > 0, Hung},
		{f.NATed > 0, NATed},
		{f.Tarpit > 0, Tarpit},
		{f.Partition > 0, Parted},
		{f.Restart > 0, Restarted},
		{r.cfg.Churn.Comeback.Share > 0, Restarted},
		{f.Skew > 0, Skewed},
		{r.cfg.Adversaries.Eclipse.Sybils > 0, Eclipsed},
		{r.cfg.Adversaries.Misdirect.Share > 0, Misled},
		{r.cfg.Adversaries.Poison.Sybils > 0, Poisoned},
		{r.cfg.Adversaries.Flood.Flooders > 0, Flooded},
		{r.cfg.Link.Loss > 0, Lost},
		{r.cfg.Churn.On, Left},
		{r.cfg.Churn.On, Crashed},
	} {
		if want.asked && r.fired[want.fault] == 0 {
			r.violated("the fault %q was asked for and never happened", want.fault)
		}
	}
}
