package kademlia

import (
	"errors"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// findNode wants the k nearest live peers: the whole lookup.
type findNode struct{}

func (findNode) response(time.Time, *query, *Contact, *protocol.Message) bool { return false }
func (findNode) failure(*Contact, error) bool                                 { return false }
func (findNode) regional() bool                                               { return false }
func (findNode) walked(*query) *protocol.Message                              { return nil }
func (findNode) fill(time.Time, *query, *Result)                              {}

// findPeer wants one peer. Its addresses are hearsay until it is reached: a
// target that serves the protocol is asked like any candidate, being nearest of
// all, and one that does not says so; either proves the addresses. What nobody
// could prove is still returned, since a dialler may know better.
type findPeer struct {
	findNode
	target keyspace.Key
	found  *Contact
	proven bool // found has been reached
}

func (g *findPeer) response(_ time.Time, _ *query, from *Contact, _ *protocol.Message) bool {
	if from.Key == g.target {
		g.found, g.proven = from, true
	}
	return g.proven
}

func (g *findPeer) failure(to *Contact, err error) bool {
	if to.Key == g.target && errors.Is(err, protocol.ErrUnsupported) {
		g.found, g.proven = to, true
	}
	return g.proven
}

// note picks up what is known of the target by now.
func (g *findPeer) note(q *query) {
	if i, known := q.lookup.find(&g.target); known {
		g.found = q.lookup.candidates[i].contact
	}
}

func (g *findPeer) fill(_ time.Time, q *query, r *Result) {
	if q.lookup != nil && !g.proven {
		g.note(q)
	}
	if g.found != nil && g.found.HasAddrs() {
		r.Providers = []*Contact{g.found}
		return
	}
	if r.Err == nil {
		r.Err = ErrNotFound
	}
}
