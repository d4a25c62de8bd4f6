package routing

import (
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
)

// LookupStep is one step of a lookup: of an operation's, or of one of the DHT's own.
type LookupStep struct {
	// Lookup says which one; no other of this DHT has the number.
	Lookup kademlia.QueryID
	Kind   StepKind
	At     time.Time
	// Peer is who is asked, has answered, is slow, or has failed for the reason Err.
	Peer *kademlia.Contact
	Err  error
	// Hop is how many referrals away a peer that is asked is, from 1; Closer are the peers
	// not heard of before that an answer named.
	Hop    int
	Closer []*kademlia.Contact
	// Type is what peers are asked, of a lookup that begins; Key is what for, and Upkeep says
	// that no caller waits for it. Storing says that a request gives the peer a record, by Type.
	Type    protocol.Type
	Key     []byte
	Upkeep  bool
	Storing bool
	// Result is how the lookup has ended.
	Result *kademlia.Result
}

// StepKind says what happened.
type StepKind string

// The kinds. Of each lookup StepBegan comes first and StepEnded last. A peer that was slow
// and then answers has answered late.
const (
	StepBegan    StepKind = "began"
	StepAsking   StepKind = "asking"
	StepAnswered StepKind = "answered"
	StepSlow     StepKind = "slow"
	StepFailed   StepKind = "failed"
	StepEnded    StepKind = "ended"
)

// WatchLookups has w told each step of every lookup until stop is called; who watched before
// does no longer. w must return at once, since it holds up all else that the DHT does, and
// must not change what it is told. Nothing is spent on lookups that nobody watches.
func (d *DHT) WatchLookups(w func(LookupStep)) (stop func(), err error) {
	watcher := &w
	err = d.loop.post(func(time.Time) { d.observers.watcher = watcher })
	return func() {
		_, _ = ask(d.loop, func(time.Time) bool {
			if d.observers.watcher == watcher {
				d.observers.watcher = nil
			}
			return true
		})
	}, err
}

// step tells who watches all lookups, and who traces the operation that it is of.
func (o *observers) step(s LookupStep) {
	if !o.watching() {
		return
	}
	s.At = o.now()
	if o.watcher != nil {
		(*o.watcher)(s)
	}
	if !o.steps {
		return
	}
	if op := o.of(s.Lookup); op != nil && op.traced != nil {
		op.traced.step(s)
	}
}

// watching reports whether steps are told to anybody.
func (o *observers) watching() bool { return o.watcher != nil || o.steps }

// watch has the node's trace tell who watches all lookups, and then whom it told before.
func (o *observers) watch(t *kademlia.Trace) *kademlia.Trace {
	asking, answered, failed := t.Asking, t.Answered, t.Failed
	t.Began = func(q kademlia.QueryID, of protocol.Type, key []byte, upkeep bool) {
		o.step(LookupStep{Lookup: q, Kind: StepBegan, Type: of, Key: key, Upkeep: upkeep})
	}
	var storing bool // what is asked next
	var by protocol.Type
	t.Storing = func(_ kademlia.QueryID, of protocol.Type) { storing, by = true, of }
	t.Slow = func(q kademlia.QueryID, to *kademlia.Contact) {
		o.step(LookupStep{Lookup: q, Kind: StepSlow, Peer: to})
	}
	t.Ended = func(q kademlia.QueryID, r *kademlia.Result) {
		o.step(LookupStep{Lookup: q, Kind: StepEnded, Result: r})
	}
	t.Asking = func(q kademlia.QueryID, to *kademlia.Contact, hop int) {
		o.step(LookupStep{Lookup: q, Kind: StepAsking, Peer: to, Hop: hop, Storing: storing, Type: by})
		storing, by = false, 0
		asking(q, to, hop)
	}
	t.Answered = func(q kademlia.QueryID, from *kademlia.Contact, closer []*kademlia.Contact) {
		if o.watching() {
			o.step(LookupStep{Lookup: q, Kind: StepAnswered, Peer: from, Closer: slices.Clone(closer)})
		}
		answered(q, from, closer)
	}
	t.Failed = func(q kademlia.QueryID, to *kademlia.Contact, err error) {
		o.step(LookupStep{Lookup: q, Kind: StepFailed, Peer: to, Err: err})
		failed(q, to, err)
	}
	return t
}
