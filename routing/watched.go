package routing

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
)

// watched is what a DHT counts for those who look at it, beside Stats.
type watched struct {
	in, out *times
	served  *served
	told    []*Trace // that the DHT has started
}

func newWatched() watched {
	return watched{in: new(times), out: new(times), served: &served{seed: maphash.MakeSeed()}}
}

// latencySteps is how many times are told apart: two to an octave from a tenth of a
// millisecond to nine seconds, and what takes longer.
const latencySteps = 34

// LatencyBounds are the longest times of Latency.Steps but the last.
var LatencyBounds = func() (bounds [latencySteps - 1]time.Duration) {
	for i := range bounds {
		bounds[i] = 100 * time.Microsecond << (i / 2)
		if i%2 == 1 {
			bounds[i] = bounds[i] * 181 / 128 // the root of two
		}
	}
	return bounds
}()

// Latency is how long requests of one type took that were answered: Steps counts them by
// LatencyBounds, Sum is all their time.
type Latency struct {
	Steps [latencySteps]uint64
	Sum   time.Duration
}

// Latencies are those of others' requests to us, from the whole request to the answer, and
// of ours to others, from the call to the answer: dial and queues are in both.
type Latencies struct {
	In, Out [protocol.NumTypes]Latency
}

// Latencies returns how long requests have taken so far.
func (d *DHT) Latencies() Latencies {
	return Latencies{d.watched.in.snapshot(), d.watched.out.snapshot()}
}

// times is one direction of Latencies while it is being counted.
type times [protocol.NumTypes]struct {
	steps [latencySteps]atomic.Uint64
	sum   atomic.Int64
}

func (t *times) note(of protocol.Type, took time.Duration) {
	if !of.Valid() {
		return
	}
	i := 0
	for i < len(LatencyBounds) && took > LatencyBounds[i] {
		i++
	}
	t[of].steps[i].Add(1)
	t[of].sum.Add(int64(took))
}

func (t *times) snapshot() (all [protocol.NumTypes]Latency) {
	for of := range t {
		all[of].Sum = time.Duration(t[of].sum.Load())
		for i := range t[of].steps {
			all[of].Steps[i] = t[of].steps[i].Load()
		}
	}
	return all
}

// maxServed bounds the keys whose answers are counted apart, twice.
const maxServed = 4096

// served counts the answers with records by key.
//
// Invariant: it holds twice maxServed keys at most, those asked for last.
type served struct {
	seed maphash.Seed

	mu          sync.Mutex
	now, before map[uint64]uint32
}

func (s *served) add(key []byte) {
	k := maphash.Bytes(s.seed, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := max(s.now[k], s.before[k])
	if s.now == nil || len(s.now) >= maxServed {
		s.before, s.now = s.now, make(map[uint64]uint32)
	}
	s.now[k] = n + 1
}

// TimesServed returns how often others were answered with a record under key, 0 too if the
// last time lies thousands of other keys back.
func (d *DHT) TimesServed(key []byte) int {
	s := d.watched.served
	k := maphash.Bytes(s.seed, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(max(s.now[k], s.before[k]))
}

// NetworkSizeSamples returns what each neighbourhood of the keyspace that was looked at in
// the last ten minutes told of the network's size, the oldest first: NetworkSize is the
// median of these and of our own. Nil after Close.
func (d *DHT) NetworkSizeSamples() []kademlia.SizeSample {
	all, _ := ask(d.loop, func(now time.Time) []kademlia.SizeSample { return d.loop.node.SizeSamples(now) })
	return all
}

// Timing returns the periods that the DHT keeps, with the defaults filled in.
func (d *DHT) Timing() kademlia.Timing { return d.loop.node.Timing() }

// K returns how many peers hold a record, and how many an answer names.
func (d *DHT) K() int { return d.cfg.K }
