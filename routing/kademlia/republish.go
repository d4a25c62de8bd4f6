package kademlia

import (
	"bytes"
	"errors"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// Stock is the stores of values as the Node reads them: it asks, and the answer
// comes in through Node.HandleHeld, exactly one for each call. The methods must not
// call back and must not wait; nothing depends on how long an answer takes.
type Stock interface {
	// Range asks for values held whose keys lie from first to last, both included, in
	// ascending order from first on: as many as suit one step, and one at least if
	// there is any.
	Range(id ReadID, first, last keyspace.Key)
	// Own asks for the value that is kept published under key.
	Own(id ReadID, key []byte)
}

// ReadID names one reading of a Stock; 0 names none.
type ReadID uint64

// Held is a value as a Stock answers with it. It may be kept and must not be changed.
type Held struct {
	Record protocol.Record
	// Age is how long ago the value was put here last, Left how long it may still be
	// kept; 0: for ever.
	Age, Left time.Duration
}

// errNotHeld means that there is no value any longer to be published again.
var errNotHeld = errors.New("the value is not held any longer")

// readings is the Node's side of a Stock: who waits for which answer.
type readings struct {
	last    ReadID
	waiting map[ReadID]func(now time.Time, held []Held, err error)
}

// expect returns the id under which done is called.
func (s *readings) expect(done func(now time.Time, held []Held, err error)) ReadID {
	if s.waiting == nil {
		s.waiting = make(map[ReadID]func(time.Time, []Held, error))
	}
	s.last++
	s.waiting[s.last] = done
	return s.last
}

// upkeep is what a Node does so that values stay where they are looked for.
type upkeep struct {
	stock       Stock // nil: there are no values to keep up
	readings    readings
	republisher repeater
	replicator  replicator
	copies      uint64 // given to others so far
}

func newUpkeep(n *Node) upkeep {
	return upkeep{
		republisher: repeater{node: n, start: n.republish, period: n.cfg.Timing.Republish},
		replicator:  replicator{node: n, before: n.table.View()},
	}
}

func (u *upkeep) advance(now time.Time) {
	u.republisher.advance(now)
	u.replicator.advance(now)
}

func (u *upkeep) nextDeadline() time.Time {
	return earlier(u.republisher.nextDeadline(), u.replicator.nextDeadline())
}

// SetStock gives the Node the stores of values to read. It is called once, before
// anything else; without it no value is put again or copied.
func (n *Node) SetStock(s Stock) { n.upkeep.stock = s }

// HandleHeld takes in the answer to a reading of the Stock. Unknown ids are ignored.
func (n *Node) HandleHeld(now time.Time, id ReadID, held []Held, err error) {
	done := n.upkeep.readings.waiting[id]
	if done == nil {
		return
	}
	delete(n.upkeep.readings.waiting, id)
	done(now, held, err)
}

// Copied returns how many copies of values have been taken by who came near to them.
func (n *Node) Copied() uint64 { return n.upkeep.copies }

// StartPublishing keeps the value that the Stock has as our own under key stored
// with the peers nearest to it: every Timing.Republish, first after first. What
// reached nobody is tried again after Timing.Retry; what the Stock has no longer is
// given up. Without a Stock, or with a negative Timing.Republish, nothing is kept.
func (n *Node) StartPublishing(now time.Time, key []byte, first time.Duration) error {
	if n.upkeep.stock == nil || n.cfg.Timing.Republish < 0 {
		return nil
	}
	return n.upkeep.republisher.add(key, now.Add(first))
}

// StopPublishing stores key again no longer. What others hold expires by itself.
func (n *Node) StopPublishing(key []byte) { n.upkeep.republisher.remove(key) }

// Publishing returns how many keys are kept published.
func (n *Node) Publishing() int { return len(n.upkeep.republisher.byKey) }

// republish stores the own value of a key again.
func (n *Node) republish(now time.Time, key []byte, done func(time.Time, Result)) {
	id := n.upkeep.readings.expect(func(now time.Time, held []Held, err error) {
		switch {
		case err != nil:
			done(now, Result{Err: err})
		case len(held) == 0 || !bytes.Equal(held[0].Record.Key, key):
			n.StopPublishing(key)
			done(now, Result{Err: errNotHeld})
		default:
			n.Store(now, held[0].Record, done)
		}
	})
	n.upkeep.stock.Own(id, key)
}
