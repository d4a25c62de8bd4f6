package kademlia

import "github.com/kdht/kdht/protocol"

// Trace is told what a Node does, as it does it. Every field may be nil, which
// means "don't care"; so may the Trace itself. The functions are called by the
// goroutine that owns the Node and must not call back into it.
type Trace struct {
	// Began: operation q goes out to ask peers of type t for key; upkeep says that the
	// table looks about, and no caller waits.
	Began func(q QueryID, t protocol.Type, key []byte, upkeep bool)
	// Storing: the next that q sends, told by Asking right after, gives the peer a record; t
	// is its type. The walk may still be under way.
	Storing func(q QueryID, t protocol.Type)
	// Asking: operation q sends a request to a peer that is hop referrals away.
	Asking func(q QueryID, to *Contact, hop int)
	// Answered: the peer answered q and named closer peers.
	Answered func(q QueryID, from *Contact, closer []*Contact)
	// Slow: the peer takes its time; others are asked meanwhile.
	Slow func(q QueryID, to *Contact)
	// Failed: the request failed; err wraps one of protocol's sentinels.
	Failed func(q QueryID, to *Contact, err error)
	// Ended: q is over, with this result, which is the callers' to keep.
	Ended func(q QueryID, r *Result)
	// Admitted: a verified peer became a member of the table.
	Admitted func(c *Contact)
	// Evicted: a member left the table, and why.
	Evicted func(c *Contact, reason error)
}

func (t *Trace) began(q *query) {
	if t != nil && t.Began != nil {
		_, upkeep := q.goal.(*lookAbout)
		t.Began(q.id, q.request.Type, q.request.Key, upkeep)
	}
}

func (t *Trace) storing(q QueryID, m *protocol.Message) {
	if t != nil && t.Storing != nil {
		t.Storing(q, m.Type)
	}
}

func (t *Trace) asking(q QueryID, to *Contact, hop int) {
	if t != nil && t.Asking != nil {
		t.Asking(q, to, hop)
	}
}

func (t *Trace) answered(q QueryID, from *Contact, closer []*Contact) {
	if t != nil && t.Answered != nil {
		t.Answered(q, from, closer)
	}
}

func (t *Trace) slow(q QueryID, to *Contact) {
	if t != nil && t.Slow != nil {
		t.Slow(q, to)
	}
}

func (t *Trace) failed(q QueryID, to *Contact, err error) {
	if t != nil && t.Failed != nil {
		t.Failed(q, to, err)
	}
}

func (t *Trace) ended(q QueryID, r *Result) {
	if t != nil && t.Ended != nil {
		t.Ended(q, r)
	}
}

func (t *Trace) admitted(c *Contact) {
	if t != nil && t.Admitted != nil {
		t.Admitted(c)
	}
}

func (t *Trace) evicted(c *Contact, reason error) {
	if t != nil && t.Evicted != nil {
		t.Evicted(c, reason)
	}
}
