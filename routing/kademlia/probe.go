package kademlia

import (
	"errors"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds on liveness probes.
const (
	maxProbes  = 16  // under way at a time
	maxWaiting = 256 // candidates waiting for their probe (wire.md §10)
)

var (
	errProbeFailed = errors.New("failed its probe")
	errNotServing  = errors.New("no longer serves the protocol")
)

// prober asks peers for their own id: candidates before they enter the table,
// members that have been silent, members whose place a newcomer would take.
//
// Invariants: a peer is probed at most once at a time, at most maxProbes are; no
// candidate becomes a member without having answered; a member is removed only
// when it failed its probe.
type prober struct {
	node     *Node
	inFlight int
	waiting  []*Contact
	known    map[peer.ID]bool // candidates waiting or being probed
}

// candidate has c verified unless that is under way; what exceeds the bounds
// is forgotten, since peers show up again.
func (p *prober) candidate(now time.Time, c *Contact) {
	if p.known[c.ID] || len(p.waiting) >= maxWaiting {
		return
	}
	p.known[c.ID] = true
	p.waiting = append(p.waiting, c)
	p.step(now)
}

// member has a member probed unless that is under way. Over the bound it is
// left as it is: the next silence or contest finds it again.
func (p *prober) member(now time.Time, e *entry) {
	if e.probing || p.inFlight >= maxProbes {
		return
	}
	e.probing = true
	p.send(now, e.contact, e)
}

// contest has the least recently seen member of c's bucket probed if it has
// been silent for a while: c wants its place, and gets it if the member is gone.
func (p *prober) contest(now time.Time, c *Contact) {
	b := p.node.table.bucket(&c.Key)
	if b == nil || len(b.members) == 0 {
		return
	}
	oldest := b.members[0]
	if oldest.seen.add(p.node.cfg.Timing.Suspect) <= instantOf(now) {
		p.member(now, oldest)
	}
}

// step starts the probes there is room for, waiting candidates first.
func (p *prober) step(now time.Time) {
	for len(p.waiting) > 0 && p.inFlight < maxProbes {
		c := p.waiting[0]
		p.waiting = p.waiting[1:]
		if p.node.table.find(&c.Key, c.ID) != nil {
			delete(p.known, c.ID) // it answered something else meanwhile
			continue
		}
		p.send(now, c, nil)
	}
	p.overdue(now)
}

// overdue probes the members that have been silent for too long.
func (p *prober) overdue(now time.Time) {
	limit := instantOf(now) - instant(p.node.cfg.Timing.Probe)
	if p.node.cfg.Timing.Probe < 0 {
		return
	}
	for i := range p.node.table.buckets {
		for _, e := range p.node.table.buckets[i].members {
			if e.seen > limit || p.inFlight >= maxProbes {
				break
			}
			p.member(now, e)
		}
	}
}

// send probes a peer: it is asked for its own id, which any server answers, and
// which teaches us its neighbourhood (wire.md §10 "lookupCheck").
func (p *prober) send(now time.Time, c *Contact, e *entry) {
	p.inFlight++
	m := &protocol.Message{Type: protocol.FindNode, Key: c.Peer.ID, ClusterLevel: 1}
	p.node.requests.send(now, c, m, &probe{p, e})
}

// nextDeadline returns when the longest silent member is due; zero if none is,
// or if the end of a running probe comes first anyhow.
func (p *prober) nextDeadline() (next time.Time) {
	period := p.node.cfg.Timing.Probe
	if period < 0 || p.inFlight >= maxProbes {
		return next
	}
	for i := range p.node.table.buckets {
		for _, e := range p.node.table.buckets[i].members {
			if !e.probing {
				next = earlier(next, e.seen.add(period).time())
				break
			}
		}
	}
	return next
}

// probe is the asker of one probe; entry is nil for a candidate.
type probe struct {
	prober *prober
	entry  *entry
}

func (p *probe) answered(now time.Time, from *Contact, m *protocol.Message, late bool) {
	n := p.prober.node
	if p.entry != nil || len(m.CloserPeers) > 0 || n.table.Len() < n.cfg.K {
		n.alive(now, from)
	}
	if !late {
		p.end(now, from)
	}
}

func (p *probe) failed(now time.Time, to *Contact, err error) {
	n := p.prober.node
	switch {
	case p.entry == nil:
	case blames(err):
		n.evict(now, to, errProbeFailed)
	default:
		n.table.seen(now, &to.Key, to.ID) // our fault: look again in a period
	}
	p.end(now, to)
}

// slow implements asker: a probe holds no slot of a lookup.
func (*probe) slow(time.Time, *Contact) {}

// end frees the probe's place.
func (p *probe) end(now time.Time, c *Contact) {
	if p.entry != nil {
		p.entry.probing = false
	} else {
		delete(p.prober.known, c.ID)
	}
	p.prober.inFlight--
	p.prober.step(now)
}
