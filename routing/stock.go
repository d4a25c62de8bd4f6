package routing

import (
	"errors"
	"sync"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
)

// Ranger is a store of values that can be read in the order of the keyspace;
// store.ValueStore is one. Only what such a store holds is given to peers that come
// near to it, or handed over at the end.
type Ranger interface {
	// Range calls fn for the values whose keys lie from first to last, both included,
	// in ascending order until it returns false, with how long ago each was put and
	// how long it may still be kept, 0 for ever. The record is fn's own.
	Range(now time.Time, first, last keyspace.Key, fn func(rec protocol.Record, age, left time.Duration) bool) error
}

// What one step reads: so many values, or a few less if they are large.
const (
	stepRecords = 64
	stepBytes   = 1 << 20
)

// handoverPatience is how long Close waits for our values to be handed over: the
// program has two seconds to end (reliability.md P16).
const handoverPatience = 800 * time.Millisecond

// stock is the Node's way to our values: each reading on a goroutine of its own, of
// which there are few at a time.
type stock struct {
	dht     *DHT
	running sync.WaitGroup // added to by the loop only
}

// Range implements kademlia.Stock.
func (s *stock) Range(id kademlia.ReadID, first, last keyspace.Key) {
	s.read(id, func(now time.Time) ([]kademlia.Held, error) { return s.dht.step(now, first, last) })
}

// Own implements kademlia.Stock.
func (s *stock) Own(id kademlia.ReadID, key []byte) {
	s.read(id, func(now time.Time) ([]kademlia.Held, error) { return s.dht.own(now, key) })
}

func (s *stock) read(id kademlia.ReadID, from func(now time.Time) ([]kademlia.Held, error)) {
	l := s.dht.loop
	s.running.Go(func() {
		held, err := carefully(func() ([]kademlia.Held, error) { return from(l.now()) })
		_ = l.post(func(now time.Time) { l.node.HandleHeld(now, id, held, err) })
	})
}

func carefully(f func() ([]kademlia.Held, error)) (held []kademlia.Held, err error) {
	defer recovered("store of values", &err)
	return f()
}

// step reads the next few values. Who serves nobody is nobody's neighbour, and has
// none to give.
func (d *DHT) step(now time.Time, first, last keyspace.Key) (held []kademlia.Held, err error) {
	values, ok := d.values.(Ranger)
	if serving, _ := d.role.now(); !ok || serving != ModeServer {
		return nil, nil
	}
	size := 0
	err = values.Range(now, first, last, func(rec protocol.Record, age, left time.Duration) bool {
		held = append(held, kademlia.Held{Record: rec, Age: age, Left: left})
		size += len(rec.Value)
		return len(held) < stepRecords && size < stepBytes
	})
	return held, err
}

// handOver gives what we hold to those who take our place, as far as there is time.
// It is called before the loop ends.
func (d *DHT) handOver() {
	if _, ok := d.values.(Ranger); !ok || d.loop.node.View().Len() == 0 {
		return
	}
	given := make(chan struct{})
	if errors.Is(d.loop.post(func(now time.Time) {
		d.loop.node.Leave(now, func(time.Time) { close(given) })
	}), ErrClosed) {
		return
	}
	patience := time.NewTimer(handoverPatience)
	defer patience.Stop()
	select {
	case <-given:
	case <-patience.C:
	}
}
