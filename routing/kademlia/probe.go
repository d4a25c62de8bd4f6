package kademlia

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds on liveness probes.
const (
	maxProbes  = 16  // under way at a time
	maxWaiting = 256 // candidates waiting for their probe (wire.md §10)
	// outagePause is how long members are not probed when one has failed and
	// nobody else has answered meanwhile.
	outagePause = 30 * time.Second
	// contestPause lies between two probes of members for newcomers' sake: whoever
	// keeps sending newcomers cannot make us probe faster than that.
	contestPause = 5 * time.Second
)

var (
	errProbeFailed = errors.New("failed its probe")
	errTarpit      = errors.New("answers probes only")
	errNotServing  = errors.New("no longer serves the protocol")
)

// prober asks peers for their own id: candidates before they enter the table,
// members that have been silent, members whose place a newcomer would take.
//
// Invariants: a peer is probed at most once at a time, at most maxProbes are, and
// candidates take no more than half of these; no candidate becomes a member
// without having answered; a member is removed only when it failed twice in a
// row while others answered: an outage of our own empties no table.
type prober struct {
	node      *Node
	inFlight  int
	waiting   []*Contact
	asked     []*Contact // candidates being probed
	due       instant    // no later than when a member has been silent for too long; 0: look
	contested instant    // when a member was last probed for somebody who wants its place
	pause     time.Time  // members are left alone until then: nobody answers
}

// candidate has c verified, if that is not under way and there is room; what exceeds
// the bounds is forgotten, since peers show up again.
func (p *prober) candidate(now time.Time, c *Contact) {
	if p.full() || among(p.waiting, c) >= 0 || among(p.asked, c) >= 0 {
		return
	}
	p.waiting = append(p.waiting, c)
	p.step(now)
}

// full reports whether no more candidates are taken.
func (p *prober) full() bool { return len(p.waiting) >= maxWaiting }

// expected returns how many candidates for bucket b are being verified, or will be.
func (p *prober) expected(b int) (count int) {
	for _, list := range [2][]*Contact{p.waiting, p.asked} {
		for _, c := range list {
			if p.node.table.prefix(&c.Key) == b {
				count++
			}
		}
	}
	return count
}

// among returns the position of the peer c in list, or -1.
func among(list []*Contact, c *Contact) int {
	return slices.IndexFunc(list, func(o *Contact) bool { return o == c || o.Key == c.Key })
}

// forget drops the candidate with this id if it waits.
func (p *prober) forget(id peer.ID) {
	p.waiting = slices.DeleteFunc(p.waiting, func(c *Contact) bool { return c.ID == id })
}

// member has a member probed unless that is under way. Over the bound it is left
// as it is: the next silence or contest finds it again.
func (p *prober) member(now time.Time, e *entry) {
	if e.probing || p.inFlight >= maxProbes {
		return
	}
	e.probing = true
	p.send(now, e.contact, &probe{prober: p, member: true})
}

// control has the member seen last probed, other than e: if it answers, e's
// silence is e's own.
func (p *prober) control(now time.Time, e *entry) {
	var latest *entry
	for i := range p.node.table.buckets {
		members := p.node.table.buckets[i].members
		for j := range members {
			if m := &members[j]; m != e && !m.probing && (latest == nil || m.seen > latest.seen) {
				latest = m
			}
		}
	}
	if latest != nil {
		p.member(now, latest)
	}
}

// contest has the least recently seen member of c's bucket probed if it has
// been silent for a while, and nobody else's place has just been asked for: c
// wants it, and gets it if the member is gone.
func (p *prober) contest(now time.Time, c *Contact) {
	b := p.node.table.bucket(&c.Key)
	if b == nil || len(b.members) == 0 || p.node.cfg.Timing.Suspect < 0 || now.Before(p.pause) {
		return
	}
	oldest, at := &b.members[0], instantOf(now)
	if oldest.seen.add(p.node.cfg.Timing.Suspect) <= at && p.contested.add(contestPause) <= at && !oldest.probing {
		p.contested = at
		p.member(now, oldest)
	}
}

// step starts the probes there is room for: members, then waiting candidates.
func (p *prober) step(now time.Time) {
	p.overdue(now)
	if p.node.refresher.yields(now) {
		return // those who wait may answer what the operation asks them
	}
	for len(p.waiting) > 0 && len(p.asked) < maxProbes/2 && p.inFlight < maxProbes {
		c := p.waiting[0]
		p.waiting = p.waiting[1:]
		if len(p.waiting) == 0 {
			p.waiting = nil
		}
		if p.node.table.contact(&c.Key) == nil { // else it answered something else meanwhile
			p.asked = append(p.asked, c)
			p.send(now, c, &probe{prober: p})
		}
	}
}

// overdue probes the members that have been silent for too long.
func (p *prober) overdue(now time.Time) {
	if p.node.cfg.Timing.Probe < 0 || now.Before(p.pause) {
		return
	}
	if p.due > instantOf(now) {
		return
	}
	p.due = 0
	limit := instantOf(now) - instant(p.node.cfg.Timing.Probe)
	for i := range p.node.table.buckets {
		members := p.node.table.buckets[i].members
		for j := range members {
			e := &members[j]
			if e.seen > limit || p.inFlight >= maxProbes {
				break
			}
			p.member(now, e)
		}
	}
}

// send probes a peer: it is asked for its own id, which any server answers
// (wire.md §10 "lookupCheck"; §20.8 on why not by PING).
func (p *prober) send(now time.Time, c *Contact, a *probe) {
	p.inFlight++
	m := &protocol.Message{Type: protocol.FindNode, Key: c.Peer.ID, ClusterLevel: 1}
	p.node.requests.sendPatiently(now, c, m, a, false)
}

// never is when nobody is waited for.
const never = instant(math.MaxInt64)

// nextDeadline returns when the longest silent member is due, or a moment before
// at which that is looked up again; zero if none is, or if the end of a running
// probe comes first anyhow.
func (p *prober) nextDeadline() time.Time {
	if p.node.cfg.Timing.Probe < 0 || p.inFlight >= maxProbes {
		return time.Time{}
	}
	if p.due == 0 {
		p.due = p.firstDue()
	}
	if p.due == never {
		return time.Time{}
	}
	if next := p.due.time(); !next.Before(p.pause) {
		return next
	}
	return p.pause
}

// firstDue returns when the first member that is not being probed will have been
// silent for too long.
func (p *prober) firstDue() instant {
	first := never
	for i := range p.node.table.buckets {
		members := p.node.table.buckets[i].members
		for j := range members {
			if !members[j].probing {
				first = min(first, members[j].seen.add(p.node.cfg.Timing.Probe))
				break
			}
		}
	}
	return first
}

// joined notes that there is a member more.
func (p *prober) joined(now time.Time) {
	p.due = min(p.due, instantOf(now).add(p.node.cfg.Timing.Probe))
}

// probe is the asker of one probe.
type probe struct {
	prober *prober
	member bool // of the table, when it was sent
}

func (p *probe) answered(now time.Time, r *request, m *protocol.Message, late bool) {
	n := p.prober.node
	p.prober.pause = time.Time{}
	if p.member || len(m.CloserPeers) > 0 || n.table.Len() < n.cfg.K {
		n.alive(now, r.to)
	}
	n.surroundings(now, &r.to.Key, m.CloserPeers)
	if !late {
		p.end(now, r.to)
	}
}

func (p *probe) failed(now time.Time, r *request, err error) {
	n := p.prober.node
	e := n.table.find(&r.to.Key)
	sameLife := e != nil && e.probing
	p.end(now, r.to)
	switch {
	case !p.member:
		n.promote(now, r.to)
	case !sameLife || e.seen > r.sent:
		// It has left meanwhile, or has answered something else.
	case !blames(err):
		p.prober.pause = now.Add(outagePause)
	default:
		p.prober.failed(now, e, r)
	}
}

// failed judges a member whose probe has failed. The first failure brings doubt
// and a second chance. Another evicts it, if anybody has answered since that
// probe was sent or there is nobody else; if not, the fault may be ours.
func (p *prober) failed(now time.Time, e *entry, r *request) {
	n := p.node
	switch {
	case !e.doubted && !now.Before(p.pause):
		e.doubted = true
		p.member(now, e)
		p.control(now, e)
	case e.doubted && (n.requests.othersAnswered(r) || n.table.Len() == 1):
		n.evict(now, e.contact, errProbeFailed)
	case !now.Before(p.pause):
		p.pause = now.Add(outagePause)
		p.control(now, e)
	}
}

// slow implements asker: a probe holds no slot of a lookup.
func (*probe) slow(time.Time, *Contact) {}

// silent implements asker: what follows from a probe that failed has followed.
func (*probe) silent(time.Time, *request) {}

// end frees the probe's place.
func (p *probe) end(now time.Time, c *Contact) {
	if !p.member {
		if i := among(p.prober.asked, c); i >= 0 {
			p.prober.asked = slices.Delete(p.prober.asked, i, i+1)
		}
	} else if e := p.prober.node.table.find(&c.Key); e != nil {
		e.probing = false
		p.prober.due = 0
	}
	p.prober.inFlight--
}
