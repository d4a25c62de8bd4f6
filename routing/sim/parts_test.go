package sim

import (
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

func TestQueueOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var q queue
	var last event
	for i := range 20_000 {
		if i%3 < 2 || q.len() == 0 { // at once, within a slot, within those ahead, later
			q.push(last.at+rng.Int64N(1<<rng.IntN(34)), kind(rng.IntN(8)), 0, int32(i))
			continue
		}
		e := q.pop()
		if e.before(&last) {
			t.Fatalf("event %+v came after %+v", e, last)
		}
		last = e
	}
	for left := q.len(); left > 0; left-- {
		e := q.pop()
		if e.before(&last) {
			t.Fatalf("event %+v came after %+v", e, last)
		}
		last = e
	}
	if q.len() != 0 || len(q.later) != 0 || q.made != 13_334 {
		t.Errorf("%d of %d are left", q.len(), q.made)
	}
}

func TestIndexAgainstSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var x index
	keys := map[int32]keyspace.Key{}
	for i := range int32(700) {
		k := keyspace.KeyOf([]byte{byte(i), byte(i >> 8)})
		keys[i] = k
		x.insert(&k, i)
		if drop := int32(rng.IntN(int(i) + 1)); i%3 == 0 {
			if k, held := keys[drop]; held {
				x.remove(&k)
				delete(keys, drop)
			}
		}
	}
	var all []int32
	for i := range keys {
		all = append(all, i)
	}
	for range 100 {
		target := keyspace.KeyOf([]byte{byte(rng.Uint32()), byte(rng.Uint32())})
		sort.Slice(all, func(a, b int) bool {
			ka, kb := keys[all[a]], keys[all[b]]
			return keyspace.CompareDistance(&target, &ka, &kb) < 0
		})
		var want []int32
		for _, i := range all {
			if i%5 != 0 && len(want) < 20 {
				want = append(want, i)
			}
		}
		if got := x.appendClosest(nil, &target, 20, func(i int32) bool { return i%5 != 0 }); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

// The distribution is the one measured: half ≤ 2 h, 80 % ≤ 8 h, 2.5 % > 24 h.
func TestSessionLengths(t *testing.T) {
	r := &run{rng: rand.New(rand.NewPCG(3, 3))}
	r.cfg.Churn.Scale = 1
	var short, day, long int
	const n = 100_000
	for range n {
		switch s := time.Duration(r.session(r.rng.Float64())); {
		case s <= 0:
			t.Fatal("a session without a length")
		case s <= 2*time.Hour:
			short++
		case s <= 8*time.Hour:
			day++
		case s > 24*time.Hour:
			long++
		}
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{{"≤ 2 h", float64(short) / n, 0.5}, {"2 to 8 h", float64(day) / n, 0.3}, {"> 24 h", float64(long) / n, 0.025}} {
		if c.got < c.want-0.01 || c.got > c.want+0.01 {
			t.Errorf("%s: %.3f, want %.3f", c.name, c.got, c.want)
		}
	}
}

// The same both ways, larger between continents, and within what is known of the
// Internet.
func TestRoundTrips(t *testing.T) {
	cfg := Config{Nodes: 400}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg)
	var sum, n int64
	for a := range int32(400) {
		for b := range a {
			d := r.rtt(a, b)
			if d != r.rtt(b, a) || d < int64(4*time.Millisecond) || d > int64(600*time.Millisecond) {
				t.Fatalf("%d to %d: %v there, %v back", a, b, time.Duration(d), time.Duration(r.rtt(b, a)))
			}
			sum += d
			n++
		}
	}
	t.Logf("the mean is %v", time.Duration(sum/n))
	if mean := time.Duration(sum / n); mean < 80*time.Millisecond || mean > 200*time.Millisecond {
		t.Errorf("the mean round trip is %v", mean)
	}
}

func TestConnectionsAreBoundedAndMutual(t *testing.T) {
	cfg := Config{Nodes: 60, Link: Link{Conns: 5}}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg)
	for range 2000 {
		a, b := int32(r.rng.IntN(60)), int32(r.rng.IntN(60))
		if a != b && !r.connected(a, b) {
			r.connect(a, b)
		}
	}
	for a := range r.members {
		conns := r.members[a].conns
		if len(conns) > 5 {
			t.Errorf("member %d holds %d connections", a, len(conns))
		}
		for _, b := range conns {
			if !slices.Contains(r.members[b].conns, int32(a)) {
				t.Errorf("member %d is connected to %d, which is not to it", a, b)
			}
		}
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		r, err := Run(b.Context(), Config{Seed: 1, Nodes: 300, Lookups: 300}, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(r.Events)/r.Wall.Seconds(), "events/s")
	}
}

func BenchmarkQueue(b *testing.B) {
	var q queue
	rng := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		q.push(rng.Int64N(1e9), wake, 0, 0)
	}
	b.ReportAllocs()
	for b.Loop() {
		e := q.pop()
		q.push(e.at+rng.Int64N(1e9), wake, 0, 0)
	}
}
