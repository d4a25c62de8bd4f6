package kademlia

import (
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxGiven bounds the copies under way to peers beyond the k nearest.
const maxGiven = 2 * maxReplicas

// fanout gives one message to the k nearest live peers of a walk. A peer that
// fails drops out of the walk, which then goes on to the next nearest: dead
// peers cost requests and not replicas.
type fanout struct {
	query    *query
	message  *protocol.Message
	extra    []*Contact // to be given it besides the k nearest
	inFlight int
	holders  []peer.ID
}

// step hands out what can be handed out, lets the walk go on where it must, and
// finishes the query when nothing more can come.
func (f *fanout) step(now time.Time) {
	q := f.query
	for c := q.lookup.take(); c != nil; c = q.lookup.take() {
		f.give(now, c)
	}
	for len(f.extra) > 0 && f.inFlight < maxGiven {
		c := f.extra[0]
		f.extra = f.extra[1:]
		f.give(now, c)
	}
	q.ask(now)
	switch {
	case f.inFlight > 0 || !q.lookup.Done():
	case q.widen():
		f.step(now)
	default:
		q.finish(now, nil)
	}
}

func (f *fanout) give(now time.Time, c *Contact) {
	q := f.query
	f.inFlight++
	q.report.Asked++
	q.node.cfg.Trace.asking(q.id, c, q.lookup.hop(&c.Key))
	q.node.requests.sendPatiently(now, c, f.message, f)
}

// answered implements asker: the peer holds the record.
func (f *fanout) answered(now time.Time, r *request, _ *protocol.Message, late bool) {
	q, from := f.query, r.to
	q.node.useful(now, from)
	if q.finished {
		return
	}
	q.report.Answered++
	if q.lookup.believes(&from.Key) {
		q.kept(from)
	}
	q.lookup.Reached(&from.Key)
	q.node.cfg.Trace.answered(q.id, from, nil)
	f.holders = append(f.holders, from.ID)
	if late {
		q.report.Failed.Timeout--
		return
	}
	f.inFlight--
	f.step(now)
}

// failed implements asker: the next nearest takes the peer's place.
func (f *fanout) failed(now time.Time, r *request, err error) {
	q, to := f.query, r.to
	if err != errSilent { // else silent will be told
		q.node.suspect(now, r, err)
	}
	if q.finished {
		return
	}
	q.report.Failed.count(err)
	if q.lookup.believes(&to.Key) {
		q.broken(r, err)
	}
	q.node.cfg.Trace.failed(q.id, to, err)
	q.lookup.Dropped(&to.Key)
	f.inFlight--
	f.step(now)
}

// slow implements asker: a store is waited for.
func (f *fanout) slow(time.Time, *Contact) {}

// silent implements asker.
func (f *fanout) silent(now time.Time, r *request) { f.query.node.suspect(now, r, errSilent) }
