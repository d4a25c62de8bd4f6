package honest

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/multiformats/go-multihash"
)

// Announced is what became of a provider's keys.
type Announced struct {
	Keys   int
	Took   time.Duration
	Failed int   // calls of Provide that returned an error; they were made again
	Error  error // of one of these
	// Held are the records found in the nodes' stores, of Due; Least the fewest
	// holders of any key.
	Held, Due, Least int
	// Lost are the provider's requests that ended in any way but an answer; Evicted
	// is how many of the nodes it does not know any more.
	Lost    uint64
	Evicted int
	Refused Refused
}

// announcers is how many keys are announced at a time: as many as there are
// operations at a time.
const announcers = 128

// tries is how often a key is announced again that nobody seems to have taken, as
// the DHT itself would five minutes later.
const tries = 3

// Announce has a provider join, announce that many keys to the others, and leave.
// It then looks into the stores of all nodes. Every key is due at all of them, or
// at 20 if there are more.
func (w *Network) Announce(ctx context.Context, keys int, progress func(done int)) (*Announced, error) {
	p, err := w.join(ctx)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.meet(ctx, min(len(w.nodes), 20)); err != nil {
		return nil, err
	}
	a := &Announced{Keys: keys, Due: keys * min(len(w.nodes), 20)}
	known, before, began := p.dht.Stats().Table, w.refused(), time.Now()
	var next, done atomic.Int64
	var mu sync.Mutex
	var failed []int64
	announce := func(i int64) {
		if err := p.dht.Provide(routing.Thorough(ctx), content(i), true); err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, i)
			a.Failed, a.Error = a.Failed+1, err
		}
	}
	var group sync.WaitGroup
	for range announcers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(keys); i = next.Add(1) - 1 {
				announce(i)
				progress(int(done.Add(1)))
			}
		})
	}
	group.Wait()
	for range tries {
		again := failed
		failed = nil
		for _, i := range again {
			announce(i)
		}
	}
	a.Took = time.Since(began)
	a.Refused = w.refused().minus(before)
	s := p.dht.Stats()
	a.Evicted = known - s.Table
	for _, of := range s.Client.Types {
		a.Lost += of.Unreachable + of.Refused + of.Timeout + of.Unsupported + of.Malformed + of.Local + of.Canceled
	}
	return a, errors.Join(w.look(a, []byte(p.host.ID())), ctx.Err())
}

// look counts the records of one provider that the nodes hold.
func (w *Network) look(a *Announced, provider []byte) error {
	a.Least = len(w.nodes)
	var all []protocol.Peer
	for i := range int64(a.Keys) {
		holders := 0
		for _, n := range w.nodes {
			var err error
			if all, err = n.records.Append(time.Now(), content(i).Hash(), all[:0], 1); err != nil {
				return err
			}
			if slices.ContainsFunc(all, func(p protocol.Peer) bool { return string(p.ID) == string(provider) }) {
				holders++
			}
		}
		a.Held += holders
		a.Least = min(a.Least, holders)
	}
	return nil
}

// content is the i-th thing that is announced.
func content(i int64) cid.Cid {
	hash, err := multihash.Sum(binary.BigEndian.AppendUint64(nil, uint64(i)), multihash.SHA2_256, -1)
	if err != nil {
		panic("BUG: honest: no hash: " + err.Error())
	}
	return cid.NewCidV1(cid.Raw, hash)
}
