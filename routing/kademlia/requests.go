package kademlia

import (
	"errors"
	"fmt"
	"time"

	"github.com/kdht/kdht/protocol"
)

// RequestID names one request sent through a Network.
type RequestID uint64

// Network carries requests. Send hands one over and returns at once; it must
// not call back into the Node. For every Send exactly one HandleResponse with
// its id follows, an answer or an error, within a deadline of the network's own
// (10 s live). req is shared and must not be changed.
type Network interface {
	Send(id RequestID, to *Contact, req *protocol.Message)
}

// asker is who wants the outcome of a request. Exactly one of answered and
// failed is called, or first failed and then answered with late set: the answer
// of a peer that had been given up. slow may come before either; silent comes
// after failed, if the peer has not answered for as long as Timing.GiveUp or will
// not any more.
type asker interface {
	answered(now time.Time, r *request, m *protocol.Message, late bool)
	failed(now time.Time, r *request, err error)
	slow(now time.Time, to *Contact)
	silent(now time.Time, r *request)
}

var errSilent = fmt.Errorf("no answer yet, given up: %w", protocol.ErrTimeout)

// request is one question on its way: a cache line.
type request struct {
	id       RequestID
	to       *Contact
	asker    asker
	sent     instant
	deadline instant
	giveUp   instant // when it is given up
	stage    stage
}

// stage is what the deadline of a request means.
type stage uint8

const (
	prompt  stage = iota // at the deadline it loses its slot
	tardy                // at the deadline it is given up
	givenUp              // an answer is welcome, at the deadline its lack is a fault of the peer's
	silent               // nothing is expected
)

// requests is the book of all requests on their way.
//
// Invariant: a request is in pending from Send until HandleResponse; deadlines
// holds those among them that have one ahead, and it is for one of these that the
// first of it waits.
type requests struct {
	network   Network
	timing    *Timing
	last      RequestID
	answered  instant // when anybody has last answered
	patience  patience
	doubts    doubts
	hearsay   hearsay
	pending   inflight
	deadlines deadlines
}

// send puts a question to a peer on behalf of an asker, who waits for as long as
// answers commonly take; a hasty one for hardly longer than all but a few.
func (rs *requests) send(now time.Time, to *Contact, m *protocol.Message, a asker, hasty bool) {
	slot, giveUp := rs.patienceWith(now, to)
	if hasty && rs.patience.slot > 0 {
		giveUp = min(giveUp, rs.patience.hasty)
	}
	rs.await(now, to, m, a, slot, giveUp)
}

// sendPatiently is send with as much patience as there is: for what decides about a
// peer and not only about one walk. alert says that the asker is to be told when
// others would have answered.
func (rs *requests) sendPatiently(now time.Time, to *Contact, m *protocol.Message, a asker, alert bool) {
	slot := rs.timing.Slot
	if alert {
		slot, _ = rs.patienceWith(now, to)
	}
	rs.await(now, to, m, a, slot, rs.timing.GiveUp)
}

func (rs *requests) await(now time.Time, to *Contact, m *protocol.Message, a asker, slot, giveUp time.Duration) {
	rs.last++
	at := instantOf(now)
	r := &request{id: rs.last, to: to, asker: a, sent: at, deadline: at.add(slot), giveUp: at.add(giveUp)}
	rs.pending.put(r)
	rs.deadlines.push(deadline{r.deadline, r.id})
	rs.network.Send(r.id, to, m)
}

// take strikes a request off the book when its outcome is there; nil if no such
// request is on its way.
func (rs *requests) take(id RequestID) *request {
	r := rs.pending.take(id)
	rs.tidy()
	return r
}

// tidy takes from deadlines what waits for nothing any more, as far as it comes
// first.
func (rs *requests) tidy() {
	if rs.pending.len() == 0 {
		rs.deadlines = nil // an idle node holds no room for its busiest hour
		return
	}
	for len(rs.deadlines) > 0 {
		first := rs.deadlines[0]
		if r := rs.pending.get(first.id); r != nil && r.stage != silent && r.deadline == first.at {
			return
		}
		rs.deadlines.pop()
	}
}

// next returns the earliest deadline, zero if there is none.
func (rs *requests) next() time.Time {
	if len(rs.deadlines) == 0 {
		return time.Time{}
	}
	return rs.deadlines[0].at.time()
}

// advance tells askers of the requests whose deadlines have passed.
func (rs *requests) advance(now time.Time) {
	for at := instantOf(now); len(rs.deadlines) > 0 && rs.deadlines[0].at <= at; {
		r := rs.pending.get(rs.deadlines[0].id)
		rs.deadlines.pop()
		switch r.stage {
		case prompt:
			rs.wait(r, tardy, r.giveUp)
			r.asker.slow(now, r.to)
		case tardy:
			rs.doubt(now, r, errSilent)
			rs.wait(r, givenUp, r.sent.add(rs.timing.GiveUp))
			r.asker.failed(now, r, errSilent)
		default:
			r.stage = silent
			rs.tidy()
			r.asker.silent(now, r)
		}
	}
}

// wait has a request wait for its next deadline.
func (rs *requests) wait(r *request, s stage, until instant) {
	r.stage, r.deadline = s, until
	rs.deadlines.push(deadline{until, r.id})
	rs.tidy()
}

// othersAnswered reports whether anybody has answered anything since r was sent.
// If not, that r failed may well say more about our own network than about r.to.
func (rs *requests) othersAnswered(r *request) bool { return rs.answered >= r.sent }

// asSentinel makes sure that err wraps one of protocol's sentinels.
func asSentinel(err error) error {
	if blames(err) || errors.Is(err, protocol.ErrLocal) {
		return err
	}
	return fmt.Errorf("%w: %w", protocol.ErrLocal, err)
}
