package dashboard

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
)

// recording returns a recorder and a fake that feeds it.
func recording() (*recorder, *fake) {
	r, f := newRecorder(), &fake{}
	add := r.add
	f.watcher.Store(&add)
	return r, f
}

// Of however many lookups of whatever length so many are remembered, and of each so much.
func TestRecorderIsBounded(t *testing.T) {
	r, f := recording()
	for i := range 3 * maxLookups {
		f.lookup(kademlia.QueryID(i+1), 1+i%2*1000)
	}
	if len(r.order) != maxLookups || len(r.byID) != maxLookups {
		t.Errorf("%d and %d lookups are remembered", len(r.order), len(r.byID))
	}
	for _, l := range r.order {
		if len(l.Peers) > maxLookupPeers || len(l.Steps) > maxLookupSteps || l.Cut != (l.ID%2 == 0) || l.End == nil {
			t.Errorf("lookup %d: %d peers, %d steps, cut %v", l.ID, len(l.Peers), len(l.Steps), l.Cut)
		}
	}
	f.lookup(0, 1)
	(*f.watcher.Load())(routing.LookupStep{Lookup: 0, Kind: routing.StepAsking, Peer: contact(1)}) // after its end
	(*f.watcher.Load())(routing.LookupStep{Lookup: 9999, Kind: routing.StepEnded})                 // never begun
}

// The table's own lookups make room before those that somebody waits for.
func TestRefreshesMakeRoom(t *testing.T) {
	r, f := recording()
	tell := *f.watcher.Load()
	f.lookup(1, 1)
	for i := range 2 * maxLookups {
		tell(routing.LookupStep{Lookup: kademlia.QueryID(i + 10), Kind: routing.StepBegan, Upkeep: true})
	}
	if r.byID[1] == nil || len(r.order) != maxLookups {
		t.Error("a caller's lookup was forgotten for the table's own")
	}
}

// What is told in parts is, put together, what is told to who comes later, whenever that is.
func TestPartsMakeTheWhole(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	r, f := recording()
	together := make(map[uint64]lookupView)
	hear := func(parts []lookupView) {
		for _, p := range parts {
			old, known := together[p.ID]
			if known {
				p.Peers, p.Steps = append(old.Peers, p.Peers...), append(old.Steps, p.Steps...)
			}
			together[p.ID] = p
		}
	}
	feed := *f.watcher.Load()
	tell := func(s routing.LookupStep) {
		feed(s)
		switch rng.IntN(4) {
		case 0:
			hear(r.news())
		case 1:
			clear(together)
			hear(r.told())
		}
	}
	f.watcher.Store(&tell)
	for i := range 30 {
		f.lookup(kademlia.QueryID(i+1), 1+rng.IntN(20))
	}
	hear(r.news())
	for _, whole := range r.told() {
		got, _ := json.Marshal(together[whole.ID])
		want, _ := json.Marshal(whole)
		if string(got) != string(want) || whole.End == nil || len(whole.Steps) == 0 {
			t.Fatalf("seed %d, lookup %d:\n%s\n%s", seed, whole.ID, got, want)
		}
	}
	if r.news() != nil {
		t.Error("news are told twice")
	}
}

// A lookup whose end nobody has seen is not shown as going on for ever.
func TestUnfinishedLookupsAreForgotten(t *testing.T) {
	r, f := recording()
	f.lookup(1, 1)
	(*f.watcher.Load())(routing.LookupStep{Lookup: 2, Kind: routing.StepBegan})
	r.stopped()
	if len(r.order) != 1 || r.order[0].ID != 1 || len(r.byID) != 1 {
		t.Errorf("left: %d", len(r.order))
	}
}

// The logarithm of a distance, from the largest to the least.
func TestLog2Distance(t *testing.T) {
	var zero keyspace.Key
	for _, c := range []struct {
		byte int
		bits byte
		want float64
	}{{0, 0x80, 255}, {0, 0xff, 255.99}, {0, 1, 248}, {15, 3, 129.58}, {30, 1, 8}, {31, 3, 1.58}, {31, 1, 0}} {
		k := zero
		k[c.byte] = c.bits
		if got := log2Distance(&zero, &k); math.Abs(got-c.want) > 0.011 {
			t.Errorf("byte %d is %x: %v, want %v", c.byte, c.bits, got, c.want)
		}
	}
	if log2Distance(&zero, &zero) != 0 {
		t.Error("of equal keys")
	}
}

// What a stranger chose is shown short and in one line.
func TestTextsAreCut(t *testing.T) {
	if got := []rune(cut(string(make([]rune, 1000)))); len(got) > maxText+1 {
		t.Errorf("%d runes", len(got))
	}
	if got := cut("a\nb\x1b[2J"); !reflect.DeepEqual([]byte(got), []byte("a\ufffdb\ufffd[2J")) {
		t.Errorf("%q", got)
	}
}
