package routing

import (
	"context"
	"encoding/hex"
	"errors"
	"sync"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

// LookupEvent is one step of one lookup, told as it happens: exactly one of
// Request, Response and Terminate is set. It can be written as JSON. The names are
// those that libp2p users know.
type LookupEvent struct {
	// Node is whose lookup it is, ID which one: no other of that node has it.
	Node *PeerKadID
	ID   uint64
	// Key is what is looked up.
	Key *KeyKadID
	// Request says who is asked, Response what became of it, Terminate how the lookup
	// has ended. It is the last event of its lookup.
	Request   *LookupUpdateEvent    `json:",omitempty"`
	Response  *LookupUpdateEvent    `json:",omitempty"`
	Terminate *LookupTerminateEvent `json:",omitempty"`
}

// LookupUpdateEvent is a change of what a lookup knows of peers.
type LookupUpdateEvent struct {
	// Source is the peer that has answered or failed, nil for a request.
	Source *PeerKadID `json:",omitempty"`
	// Heard are peers that an answer named and that were not known, Waiting those that
	// are asked now, Queried those that have answered, Unreachable those that have
	// failed, for whatever Cause.
	Heard, Waiting, Queried, Unreachable []*PeerKadID `json:",omitempty"`
	Cause                                string       `json:",omitempty"`
	// Hop is how many referrals away a peer that is asked is, from 1.
	Hop int `json:",omitempty"`
}

// LookupTerminateEvent is the end of a lookup.
type LookupTerminateEvent struct {
	Reason LookupTerminationReason
	// Closest are the nearest peers that have answered.
	Closest []*PeerKadID
}

// LookupTerminationReason is why a lookup has ended.
type LookupTerminationReason string

// The reasons: its goal was reached before its end, as a quorum; the caller called it
// off; nobody was there to ask or none has answered; the nearest peers have all
// answered.
const (
	LookupStopped    LookupTerminationReason = "stopped"
	LookupCancelled  LookupTerminationReason = "cancelled"
	LookupStarvation LookupTerminationReason = "starvation"
	LookupCompleted  LookupTerminationReason = "completed"
)

// KadID is a place in the keyspace; as text it is hexadecimal.
type KadID keyspace.Key

// MarshalText implements encoding.TextMarshaler.
func (k KadID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *KadID) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(k)) {
		return errors.New("kdht: a place in the keyspace has 64 hexadecimal digits")
	}
	_, err := hex.Decode(k[:], text)
	return err
}

// PeerKadID is a peer and its place in the keyspace.
type PeerKadID struct {
	Peer peer.ID
	Kad  KadID
}

// KeyKadID is a key, as it was asked for, and its place in the keyspace.
type KeyKadID struct {
	Key []byte
	Kad KadID
}

// lookupBuffer is how many events may wait for who has registered.
const lookupBuffer = 16

type lookupEventsKey struct{}

// lookupEvents is a registration: a channel until its context ends.
type lookupEvents struct {
	ctx context.Context

	mu     sync.Mutex // held while an event is sent, so that the channel is not closed meanwhile
	events chan *LookupEvent
	closed bool
}

// RegisterForLookupEvents returns a context under which operations tell the events of
// their lookups, and the channel they are told on. It is closed when ctx ends, so ctx
// must end; until then who has registered must receive, for operations wait for it.
func RegisterForLookupEvents(ctx context.Context) (context.Context, <-chan *LookupEvent) {
	r := &lookupEvents{ctx: ctx, events: make(chan *LookupEvent, lookupBuffer)}
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closed = true
		close(r.events)
	})
	return context.WithValue(ctx, lookupEventsKey{}, r), r.events
}

// registration returns who has registered for the lookup events of ctx, nil if nobody.
func registration(ctx context.Context) *lookupEvents {
	r, _ := ctx.Value(lookupEventsKey{}).(*lookupEvents)
	return r
}

// send waits until ev is taken, or until an end of the registration or of ctx.
func (r *lookupEvents) send(ctx context.Context, ev *LookupEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	select {
	case r.events <- ev: // even if ctx has ended, as that of a lookup called off has
		return
	default:
	}
	select {
	case r.events <- ev:
	case <-r.ctx.Done():
	case <-ctx.Done():
	}
}

// lookup has an event told to who has registered under the operation's context. It
// runs on the loop.
func (op *operation) lookup(ev LookupEvent) {
	if op.lookups == nil {
		return
	}
	self := op.dht.loop.node.Self()
	ev.Node, ev.ID, ev.Key = place(self), op.id, &KeyKadID{op.key, KadID(keyspace.KeyOf(op.key))}
	op.tell(func() { op.lookups.send(op.ctx, &ev) })
}

// ended tells the end of the operation's lookup.
func (op *operation) ended(r *kademlia.Result) {
	if op.lookups == nil {
		return
	}
	reason := LookupCompleted
	switch {
	case r.Stopped, context.Cause(op.ctx) == errEnough:
		reason = LookupStopped
	case errors.Is(r.Err, kademlia.ErrCanceled):
		reason = LookupCancelled
	case errors.Is(r.Err, kademlia.ErrNoPeers):
		reason = LookupStarvation
	}
	op.lookup(LookupEvent{Terminate: &LookupTerminateEvent{Reason: reason, Closest: places(r.Closest)}})
}

func place(c *kademlia.Contact) *PeerKadID { return &PeerKadID{c.ID, KadID(c.Key)} }

func places(contacts []*kademlia.Contact) []*PeerKadID {
	all := make([]*PeerKadID, len(contacts))
	for i, c := range contacts {
		all[i] = place(c)
	}
	return all
}
