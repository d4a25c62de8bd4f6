package kademlia

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// What is stored next to a hundred identities made for the purpose is found again,
// whether they only swallow it or lie as well; without the region it is not.
func TestRegion(t *testing.T) {
	always := func(c *Config) { c.Region = RegionAlways }
	never := func(c *Config) { c.Region = RegionNever }
	all := func([]byte) bool { return true }
	for _, c := range []struct {
		name   string
		sybils int
		lies   func([]byte) bool
		change func(*Config)
		kept   bool
		dense  bool
	}{
		{"nobody", 0, nil, nil, true, false},
		{"nobody, always", 0, nil, always, true, false},
		{"20 passive", 20, nil, nil, true, true},
		{"100 passive", 100, nil, nil, true, true},
		{"100 who lie about the key", 100, func(key []byte) bool { return len(key) < 32 }, nil, true, true},
		{"100 who always lie", 100, all, nil, true, true},
		{"100 who always lie, never", 100, all, never, false, false},
		{"100 passive, never", 100, nil, never, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(t, rand.Uint64(), 2000)
			if c.lies != nil {
				w.lies = c.lies
			}
			key := w.besiege(c.sybils)
			owner, reader := w.move(c.change).node, w.move(c.change).node
			rec := protocol.Record{Key: key, Value: []byte("value")}
			stored := w.await(func(done func(time.Time, Result)) { owner.Store(w.now, rec, done) })
			told := w.await(func(done func(time.Time, Result)) { owner.Provide(w.now, key, done) })
			got := w.await(func(done func(time.Time, Result)) {
				reader.FindValue(w.now, key, ValueOptions{Quorum: 1}, done)
			})
			found := w.await(func(done func(time.Time, Result)) { reader.FindProviders(w.now, key, 5, nil, done) })
			t.Logf("stored: %s; told: %s; read: %s; found: %s", brief(&stored), brief(&told), brief(&got), brief(&found))
			if string(got.Value) == "value" != c.kept || slices.Contains(idsOf(found.Providers), owner.cfg.Self) != c.kept {
				t.Errorf("value %q, %d providers", got.Value, len(found.Providers))
			}
			if stored.Report.Dense != c.dense || stored.Err != nil || told.Err != nil || len(found.Providers) > 5 {
				t.Errorf("%v, %v, %d providers: %s", stored.Err, told.Err, len(found.Providers), brief(&stored))
			}
			if c.change == nil && len(w.values) > 60 {
				t.Errorf("%d honest peers hold it, 20 in the region are to be expected", len(w.values))
			}
		})
	}
}

func brief(r *Result) string {
	return fmt.Sprintf("asked %d, %d hold it, %d of the region, dense %v", r.Report.Asked, len(r.Report.Holders), r.Report.Region, r.Report.Dense)
}

// With fewer Sybils than can be noticed, RegionAlways puts as many copies on honest
// peers as if there were none.
func TestRegionAlways(t *testing.T) {
	w := newTown(t, rand.Uint64(), 2000)
	key := w.besiege(10)
	owner := w.move(func(c *Config) { c.Region = RegionAlways }).node
	r := w.await(func(done func(time.Time, Result)) {
		owner.Store(w.now, protocol.Record{Key: key, Value: []byte("value")}, done)
	})
	target := keyspace.KeyOf(key)
	for _, c := range w.folk.AppendClosest(nil, &target, 60) { // of 20 in the region 13 are to be expected as near as this
		if w.sybils.contact(&c.Key) == nil && share(prefixOf(&c.Key)^prefixOf(&target)) < 13./2000 && w.values[c.ID] == nil {
			t.Errorf("an honest peer of the region does not hold it: %s", brief(&r))
		}
	}
	w.values = map[peer.ID]map[string]protocol.Record{}
	owner = w.move(func(c *Config) { c.Region = RegionNever }).node
	w.await(func(done func(time.Time, Result)) {
		owner.Store(w.now, protocol.Record{Key: key, Value: []byte("value")}, done)
	})
	if len(w.values) > 12 {
		t.Errorf("%d honest peers hold it without the region: the test shows nothing", len(w.values))
	}
}

// The size of networks is told to within a quarter, of large and small ones, by the
// median of three nodes, each in a network of its own: what one of them tells deviates by 7 %,
// and a few hundred peers may lie unevenly. Chance is not taken for an attack.
func TestNetworkSize(t *testing.T) {
	for _, peers := range []int{0, 1, 19, 50, 500, 5000} {
		var told [3]float64
		for i := range told {
			told[i] = toldSize(t, peers)
		}
		slices.Sort(told[:])
		if math.Abs(told[1]-float64(peers)) > max(0.25*float64(peers), 20) {
			t.Errorf("%d peers are taken for %.0f", peers, told)
		}
	}
}

// toldSize returns how many peers a newcomer to a network of so many takes it for.
func toldSize(t *testing.T, peers int) float64 {
	w := newTown(t, rand.Uint64(), peers)
	r := w.move(nil)
	dense := 0
	for range 200 {
		res := w.await(func(done func(time.Time, Result)) {
			r.node.FindValue(w.now, fmt.Append(nil, w.rng.Uint64()), ValueOptions{}, done)
		})
		if res.Report.Dense {
			dense++
		}
	}
	size, samples := r.node.NetworkSize(w.now)
	if peers >= 50 && samples != maxSamples+1 {
		t.Errorf("the size of %d peers is told by %d samples", peers, samples)
	}
	if dense > 2 {
		t.Errorf("of 200 lookups among %d peers %d are taken for attacked", peers, dense)
	}
	w.now = w.now.Add(sampleLife + time.Second)
	if _, samples := r.node.NetworkSize(w.now); samples > 1 {
		t.Errorf("%d samples are left after %v", samples, sampleLife)
	}
	return size
}

// Looking for one key again and again, or having others do so, is one sample.
func TestNetworkSizeOfOneKey(t *testing.T) {
	w := newTown(t, rand.Uint64(), 1000)
	key := []byte("key")
	r := w.move(nil)
	r.node.size = netSize{}
	for range 30 {
		w.await(func(done func(time.Time, Result)) {
			r.node.Afresh(func() QueryID { return r.node.FindNode(w.now, key, done) })
		})
	}
	if size, samples := r.node.NetworkSize(w.now); samples != 2 {
		t.Errorf("30 lookups of one key are %d samples: %.0f peers", samples, size)
	}
}

// What members name when they are probed tells the size as well, unless they live
// near to us.
func TestNetworkSizeOfMembers(t *testing.T) {
	w := newTown(t, rand.Uint64(), 3000)
	r := w.move(nil)
	size, samples := r.node.NetworkSize(w.now)
	if samples != maxSamples+1 || math.Abs(size-3000) > 750 {
		t.Errorf("3000 peers are taken for %.0f, by %d samples", size, samples)
	}
	for _, s := range r.node.size.samples {
		if p := (prefixOf(&r.node.self.Key)>>32 ^ uint64(s.target)) >> (32 - farBuckets); p == 0 {
			t.Errorf("a neighbour of ours is a sample")
		}
	}
}

// An operation called off while it goes through the region takes its lookups with it.
func TestRegionCanceled(t *testing.T) {
	w := newTown(t, rand.Uint64(), 1000)
	key := w.besiege(40)
	n := w.move(nil).node
	ended := 0
	id := n.FindValue(w.now, key, ValueOptions{}, func(_ time.Time, r Result) {
		if ended++; !errors.Is(r.Err, ErrCanceled) {
			t.Error(r.Err)
		}
	})
	for len(w.queue) > 0 && len(n.queries) < maxShells {
		e := w.queue[0]
		w.queue = w.queue[1:]
		n.HandleResponse(w.now, e.id, w.answer(&e), nil)
	}
	if len(n.queries) < maxShells { // itself, and all but the first of those that look about
		t.Fatalf("%d operations are under way", len(n.queries))
	}
	n.Cancel(w.now, id)
	if ended != 1 || len(n.queries) != 0 {
		t.Errorf("ended %d times, %d operations are under way", ended, len(n.queries))
	}
	w.run()
}

// Where too many operations are under way already, the region is gone through by as
// many lookups as there may be, and the operation ends.
func TestRegionWhileBusy(t *testing.T) {
	w := newTown(t, rand.Uint64(), 1000)
	key := w.besiege(40)
	n := w.move(nil).node
	for id := QueryID(1 << 40); len(n.queries) < maxQueries-3; id++ {
		n.queries[id] = nil
	}
	r := w.await(func(done func(time.Time, Result)) {
		n.Store(w.now, protocol.Record{Key: key, Value: []byte("value")}, done)
	})
	if r.Err != nil || r.Report.Region == 0 {
		t.Errorf("%v: %s", r.Err, brief(&r))
	}
}
