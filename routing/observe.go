package routing

import (
	"context"
	"strconv"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// observers dispatches what the node traces to the operations whose contexts
// subscribe to libp2p's query events or to lookup events, and what changes in its
// table to the host. It belongs to the loop.
type observers struct {
	byQuery  map[kademlia.QueryID]*operation
	starting *operation // its query's id is not known yet
	started  uint64     // operations so far
	dirty    bool       // the table has changed since last looked at
	ranks    *ranks
	dialed   func(peer.ID) bool // whether a request to a peer needs a dial
	watcher  *func(LookupStep)  // of all lookups; nil if nobody
	now      func() time.Time
	steps    bool // whether operations are told theirs (Trace.Step)
}

// start runs one starting call for op and observes its query if op's context
// asks for it. A query may trace and even end before its id is known.
func (o *observers) start(op *operation, call func(done func(time.Time, kademlia.Result)) kademlia.QueryID) kademlia.QueryID {
	observed := core.SubscribesToQueryEvents(op.ctx) || op.lookups != nil || o.steps
	ended := false
	o.started++
	op.id = o.started
	if observed {
		o.starting = op
	}
	var id kademlia.QueryID
	id = call(func(_ time.Time, r kademlia.Result) {
		ended = true
		delete(o.byQuery, id)
		op.ended(&r)
		op.end(r)
	})
	o.starting = nil
	switch {
	case observed && ended:
		o.forget(op)
	case observed:
		o.byQuery[id] = op
	}
	return id
}

// forget takes out an operation that ended while it was started.
func (o *observers) forget(op *operation) {
	for id, other := range o.byQuery {
		if other == op {
			delete(o.byQuery, id)
		}
	}
}

// of returns the operation that observes query q, or nil.
func (o *observers) of(q kademlia.QueryID) *operation {
	if op := o.byQuery[q]; op != nil {
		return op
	}
	if o.starting != nil {
		o.byQuery[q] = o.starting
	}
	return o.starting
}

// trace returns what the node is to be traced with.
func (o *observers) trace() *kademlia.Trace {
	return o.watch(&kademlia.Trace{
		Asking: func(q kademlia.QueryID, to *kademlia.Contact, hop int) {
			if op := o.of(q); op != nil {
				if o.dialed(to.ID) {
					op.publish(core.QueryEvent{Type: core.DialingPeer, ID: to.ID})
				}
				op.publish(core.QueryEvent{Type: core.SendingQuery, ID: to.ID, Extra: "hop " + strconv.Itoa(hop)})
				op.lookup(LookupEvent{Request: &LookupUpdateEvent{Waiting: []*PeerKadID{place(to)}, Hop: hop}})
			}
		},
		Answered: func(q kademlia.QueryID, from *kademlia.Contact, closer []*kademlia.Contact) {
			if op := o.of(q); op != nil {
				op.publish(core.QueryEvent{Type: core.PeerResponse, ID: from.ID, Responses: responses(closer)})
				answer := &LookupUpdateEvent{Source: place(from), Queried: []*PeerKadID{place(from)}, Heard: places(closer)}
				op.lookup(LookupEvent{Response: answer})
			}
		},
		Failed: func(q kademlia.QueryID, to *kademlia.Contact, err error) {
			if op := o.of(q); op != nil {
				op.publish(core.QueryEvent{Type: core.QueryError, ID: to.ID, Extra: err.Error()})
				failure := &LookupUpdateEvent{Source: place(to), Unreachable: []*PeerKadID{place(to)}, Cause: err.Error()}
				op.lookup(LookupEvent{Response: failure})
			}
		},
		Admitted: func(*kademlia.Contact) { o.dirty = true },
		Evicted:  func(*kademlia.Contact, error) { o.dirty = true },
	})
}

// publish has ev published to the operation's context.
func (op *operation) publish(ev core.QueryEvent) { op.tell(func() { publish(op.ctx, ev) }) }

// publish gives an event to the context's subscriber and waits for it to take
// it, or for the context's end.
func publish(ctx context.Context, ev core.QueryEvent) { core.PublishQueryEvent(ctx, &ev) }

func responses(contacts []*kademlia.Contact) []*peer.AddrInfo {
	infos := make([]*peer.AddrInfo, len(contacts))
	for i, c := range contacts {
		info := addrInfo(c)
		infos[i] = &info
	}
	return infos
}
