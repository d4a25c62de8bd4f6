package kademlia

import (
	"errors"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// Bounds on what one request's silence means for the next ones.
const (
	// doubtSpan is for how long. Others name a dead peer until they have asked it
	// themselves; but when a network that was cut in two is whole again, lookups wait for
	// everybody a minute later (reliability.md P20).
	doubtSpan = time.Minute
	// maxDoubts is how many peers are remembered, the latest.
	maxDoubts = 1024
	// leastDoubted is granted to every request, to whomever.
	leastDoubted = 50 * time.Millisecond
)

// doubts are peers that left a request unanswered, or could not be reached, while others
// answered. They are asked as ever, since they may be back, but hardly waited for: so who
// is dead costs one walk its patience and not each of them. An answer, be it late, puts
// an end to the doubt.
//
// Invariant: each peer of since stands in order once or more, the last time with the
// instant in since; order has 2*maxDoubts at most.
type doubts struct {
	since map[keyspace.Key]instant
	order []doubt
}

type doubt struct {
	key keyspace.Key
	at  instant
}

// note begins a doubt, or begins it anew.
func (d *doubts) note(key *keyspace.Key, at instant) {
	if d.since == nil {
		d.since = make(map[keyspace.Key]instant)
	}
	d.since[*key] = at
	d.order = append(d.order, doubt{*key, at})
	for len(d.since) > maxDoubts || len(d.order) > 2*maxDoubts {
		if first := d.order[0]; d.since[first.key] == first.at {
			delete(d.since, first.key)
		}
		d.order = d.order[1:]
	}
}

// end ends the doubt about a peer.
func (d *doubts) end(key *keyspace.Key) {
	if delete(d.since, *key); len(d.since) == 0 {
		*d = doubts{} // nothing is held where all is well
	}
}

// holds reports whether a peer is in doubt.
func (d *doubts) holds(key *keyspace.Key, now instant) bool {
	at, known := d.since[*key]
	return known && now < at.add(doubtSpan)
}

// doubt notes that a request was not answered, unless nobody answers anything.
func (rs *requests) doubt(now time.Time, r *request, err error) {
	if rs.othersAnswered(r) && (errors.Is(err, protocol.ErrTimeout) || errors.Is(err, protocol.ErrUnreachable)) {
		rs.doubts.note(&r.to.Key, instantOf(now))
	}
}

// came notes that the answer to a request is there.
func (rs *requests) came(now time.Time, r *request) {
	rs.answered = instantOf(now)
	rs.patience.answered(time.Duration(rs.answered - r.sent))
	rs.doubts.end(&r.to.Key)
}

// patienceWith returns how long a request to a peer may hold its slot, and when a walk
// goes on without it.
func (rs *requests) patienceWith(now time.Time, to *Contact) (slot, giveUp time.Duration) {
	slot, giveUp = rs.patience.of()
	if rs.doubts.holds(&to.Key, instantOf(now)) {
		slot = min(slot, rs.patience.brief())
		giveUp = slot
	}
	return slot, giveUp
}
