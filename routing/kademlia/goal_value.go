package kademlia

import (
	"bytes"
	"errors"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Validator judges records: the interface of go-libp2p-record. Both functions
// must be pure, quick and stable.
type Validator interface {
	// Validate returns nil if value is a valid record under key.
	Validate(key string, value []byte) error
	// Select returns the index of the best of several valid values.
	Select(key string, values [][]byte) (int, error)
}

// ValueOptions says how FindValue is to search.
type ValueOptions struct {
	// Quorum is how many valid values, equal or not, end the search; 0 asks all
	// of the k nearest peers.
	Quorum int
	// Local is the value our own store holds, if any; it counts as one.
	Local []byte
	// Found is told each value that is better than those before (nil: nobody),
	// and the peer that returned it, nil for the local one. The value may be kept.
	Found func(value []byte, from *Contact)
}

// findValue wants the best value under a key (wire.md §9).
type findValue struct {
	findNode
	key       []byte
	options   ValueOptions
	validator Validator
	best      []byte
	seen      int        // valid values, the local one included
	own       bool       // our own store has the best
	holders   []*Contact // returned the best
	lacking   []*Contact // returned something else, or nothing
}

// begin takes in the local value and says whether that is enough.
func (g *findValue) begin() (satisfied bool) {
	return g.options.Local != nil && g.weigh(nil, g.options.Local)
}

func (g *findValue) response(_ time.Time, _ *query, from *Contact, m *protocol.Message) bool {
	if !m.HasRecord || !bytes.Equal(m.Record.Key, g.key) {
		g.lacking = append(g.lacking, from)
		return false
	}
	return g.weigh(from, m.Record.Value)
}

// weigh compares a value with the best so far and says whether the quorum is
// reached. from is nil for our own store. value is copied if kept.
func (g *findValue) weigh(from *Contact, value []byte) (satisfied bool) {
	if !g.valid(value) {
		g.note(&g.lacking, from)
		return false
	}
	g.seen++
	switch {
	case g.best != nil && bytes.Equal(g.best, value):
		g.note(&g.holders, from)
	case g.best == nil || g.better(value):
		g.best = append([]byte{}, value...)
		g.lacking = append(g.lacking, g.holders...)
		g.holders, g.own = g.holders[:0], false
		g.note(&g.holders, from)
		if g.options.Found != nil {
			g.options.Found(g.best, from)
		}
	default:
		g.note(&g.lacking, from)
	}
	return g.options.Quorum > 0 && g.seen >= g.options.Quorum
}

// source returns who has told the best value, nil for our own store.
func (g *findValue) source() *Contact {
	if g.own || len(g.holders) == 0 {
		return nil
	}
	return g.holders[0]
}

// regional implements goal: one holder that tells the truth is enough.
func (*findValue) regional() bool { return true }

// note adds a peer to the holders or the lacking; of ourselves only holding
// counts.
func (g *findValue) note(list *[]*Contact, from *Contact) {
	if from != nil {
		*list = append(*list, from)
	} else {
		g.own = list == &g.holders
	}
}

// valid reports whether a value may be taken. Validators are the application's,
// and values come from strangers: one that panics has not judged it valid.
func (g *findValue) valid(value []byte) (ok bool) {
	if g.validator == nil {
		return true
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return g.validator.Validate(string(g.key), value) == nil
}

// better reports whether value is preferred to the best so far.
func (g *findValue) better(value []byte) (ok bool) {
	if g.validator == nil {
		return false
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	i, err := g.validator.Select(string(g.key), [][]byte{g.best, value})
	return err == nil && i == 1
}

func (g *findValue) fill(now time.Time, q *query, r *Result) {
	if g.best == nil {
		if r.Err == nil {
			r.Err = ErrNotFound
		}
		return
	}
	r.Value = g.best
	if g.own {
		r.Report.Holders = append(r.Report.Holders, q.node.self.ID)
	}
	for _, c := range g.holders {
		r.Report.Holders = append(r.Report.Holders, c.ID)
	}
	if errors.Is(r.Err, ErrNoPeers) {
		r.Err = nil // our own value is an answer
	}
	if r.Err == nil && q.lookup != nil {
		g.correct(now, q)
	}
}

// correct gives the best value to those of the k nearest peers that answered
// without it, in the background (wire.md §9 "entry correction"; §20.5: also
// after a quorum).
func (g *findValue) correct(now time.Time, q *query) {
	var targets []*Contact
	for _, c := range g.lacking {
		if q.lookup.near(&c.Key) {
			targets = append(targets, c)
		}
	}
	if len(targets) > 0 {
		q.node.spread(now, putValue(protocol.Record{Key: g.key, Value: g.best}), targets, nil)
	}
}

// putValue returns the request that stores rec.
func putValue(rec protocol.Record) *protocol.Message {
	return &protocol.Message{Type: protocol.PutValue, Key: rec.Key, Record: rec, HasRecord: true, ClusterLevel: 1}
}

// store wants a record on the k nearest peers.
type store struct {
	findNode
	message func() *protocol.Message // made when the walk is over; nil if there is nothing to say any more
}

func (*store) regional() bool { return true }

func (g *store) walked(*query) *protocol.Message { return g.message() }

func (g *store) fill(_ time.Time, q *query, r *Result) {
	if copies := q.copies(); q.spread != nil || len(copies) > 0 {
		r.Report.Holders = append([]peer.ID{}, copies...)
	}
	switch {
	case r.Err != nil || len(r.Report.Holders) > 0:
	case q.spread == nil:
		r.Err = ErrNoAddrs // of all that is stored only an announcement can lack something to say
	default:
		r.Err = ErrNotStored
	}
}
