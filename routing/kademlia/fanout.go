package kademlia

import (
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxGiven bounds the copies under way to peers beyond the k nearest.
const maxGiven = 2 * maxReplicas

// fanout gives one message to the k nearest live peers of a walk, once each, to some of them
// before the walk is over (early.go). A peer that fails drops out of the walk, which then
// goes on to the next nearest: dead peers cost requests and not replicas.
//
// Invariant: open are those who have been given it and are waited for; who fails the walk
// meanwhile is not waited for any more.
type fanout struct {
	query   *query
	message *protocol.Message
	extra   []*Contact // to be given it besides the k nearest
	open    map[keyspace.Key]struct{}
	given   int // to how many
	holders []peer.ID
}

// step hands out what can be handed out, lets the walk go on where it must, and
// finishes the query when nothing more can come.
func (f *fanout) step(now time.Time) {
	q := f.query
	for c := q.lookup.take(); c != nil; c = q.lookup.take() {
		f.give(now, c)
	}
	for len(f.extra) > 0 && f.waiting() < maxGiven {
		c := f.extra[0]
		f.extra = f.extra[1:]
		if !q.lookup.given(&c.Key) {
			f.give(now, c)
		}
	}
	q.ask(now)
	switch {
	case f.waiting() > 0 || !q.lookup.Done():
	case q.widen():
		f.step(now)
	default:
		q.finish(now, nil)
	}
}

// waiting returns how many are waited for.
func (f *fanout) waiting() int { return len(f.open) }

func (f *fanout) give(now time.Time, c *Contact) {
	q := f.query
	if f.open == nil {
		f.open = make(map[keyspace.Key]struct{}, q.node.cfg.K)
	}
	f.open[c.Key] = struct{}{}
	f.given++
	q.node.cfg.Trace.storing(q.id, f.message)
	q.report.Asked++
	q.node.cfg.Trace.asking(q.id, c, q.lookup.hop(&c.Key))
	q.node.requests.sendPatiently(now, c, f.message, f, q.spread == nil)
}

// forsake has a peer that the walk has given up not be waited for.
func (f *fanout) forsake(key *keyspace.Key) {
	if f != nil {
		delete(f.open, *key)
	}
}

// answered implements asker: the peer holds the record.
func (f *fanout) answered(now time.Time, r *request, _ *protocol.Message, late bool) {
	q, from := f.query, r.to
	q.node.useful(now, from)
	if q.finished {
		return
	}
	q.report.Answered++
	if q.lookup.onWord(&from.Key) {
		q.kept(from)
	}
	q.lookup.Reached(&from.Key)
	q.lookup.took(&from.Key, q.spread == nil)
	q.node.cache.tells(&q.target, from)
	q.node.cfg.Trace.answered(q.id, from, nil)
	f.holders = append(f.holders, from.ID)
	if late {
		q.report.Failed.Timeout--
	}
	delete(f.open, from.Key)
	q.halfway(now)
	q.step(now)
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
	if q.lookup.onWord(&to.Key) {
		q.broken(r, err)
	}
	q.node.cfg.Trace.failed(q.id, to, err)
	q.lookup.Dropped(&to.Key)
	delete(f.open, to.Key)
	q.step(now)
}

// slow implements asker: a store is waited for, but tells the walk something.
func (f *fanout) slow(now time.Time, _ *Contact) {
	if q := f.query; !q.finished && q.spread == nil {
		q.step(now)
	}
}

// silent implements asker.
func (f *fanout) silent(now time.Time, r *request) { f.query.node.suspect(now, r, errSilent) }
