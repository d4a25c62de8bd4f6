package kademlia

import (
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// fanout gives one message to the nearest peers of a finished walk until want
// of them have confirmed it. A peer that fails is replaced by the next nearest,
// so that dead peers cost requests and not replicas.
type fanout struct {
	query    *query
	message  *protocol.Message
	want     int
	left     []*Contact // not asked yet, nearest first
	inFlight int
	holders  []peer.ID
}

// step hands the message to as many as are still needed, and finishes the query
// when nothing more can come.
func (f *fanout) step(now time.Time) {
	q := f.query
	for len(f.left) > 0 && f.inFlight+len(f.holders) < f.want {
		c := f.left[0]
		f.left = f.left[1:]
		f.inFlight++
		q.report.Asked++
		q.node.cfg.Trace.asking(q.id, c, q.report.Hops+1)
		q.node.requests.send(now, c, f.message, f)
	}
	if f.inFlight == 0 {
		q.finish(now, nil)
	}
}

// answered implements asker: the peer holds the record.
func (f *fanout) answered(now time.Time, from *Contact, _ *protocol.Message, late bool) {
	q := f.query
	q.node.alive(now, from)
	if q.finished {
		return
	}
	q.report.Answered++
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
func (f *fanout) failed(now time.Time, to *Contact, err error) {
	q := f.query
	q.node.suspect(now, to, err)
	if q.finished {
		return
	}
	q.report.Failed.count(err)
	q.node.cfg.Trace.failed(q.id, to, err)
	f.inFlight--
	f.step(now)
}

// slow implements asker: a store is waited for.
func (f *fanout) slow(time.Time, *Contact) {}
