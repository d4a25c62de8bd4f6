package crawl_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/crawl"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

// town is a network in memory: everybody has a table of buckets, and answers as the protocol wants it.
type town struct {
	peers  []peer.ID
	tables map[peer.ID][]peer.ID
	places map[peer.ID]keyspace.Key
	// named is how many peers an answer names at most. bends, if not nil, is what a peer answers instead.
	named int
	bends map[peer.ID]func(key []byte, honest []protocol.Peer) ([]protocol.Peer, error)

	mu    sync.Mutex
	asked map[peer.ID]int
	left  map[peer.ID]int
}

func peerOf(t testing.TB, text string) peer.ID {
	t.Helper()
	sum, err := multihash.Sum([]byte(text), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return peer.ID(sum)
}

// newTown makes a town of n in which bucket i of everybody holds at most k<<wide>>i members, and at least k.
func newTown(t testing.TB, seed uint64, n, k, wide int) *town {
	t.Helper()
	w := &town{named: k, tables: make(map[peer.ID][]peer.ID), asked: make(map[peer.ID]int), left: make(map[peer.ID]int)}
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		w.peers = append(w.peers, peerOf(t, fmt.Sprint(seed, "/", i)))
	}
	places := make(map[peer.ID]keyspace.Key, n)
	for _, p := range w.peers {
		places[p] = keyspace.KeyOf([]byte(p))
	}
	w.places = places
	for _, p := range w.peers {
		self, held := places[p], make(map[int]int)
		for _, i := range rng.Perm(n) {
			other := places[w.peers[i]]
			bucket := keyspace.CommonPrefixLen(&self, &other)
			if room := max(k, k<<wide>>min(bucket, 40)); bucket < keyspace.Bits && held[bucket] < room {
				held[bucket]++
				w.tables[p] = append(w.tables[p], w.peers[i])
			}
		}
	}
	return w
}

var somewhere = multiaddr.StringCast("/ip4/127.0.0.1/tcp/4001").Bytes()

func (w *town) FindNode(_ context.Context, to crawl.Peer, key []byte) ([]protocol.Peer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.find(to.ID, key)
}

func (w *town) find(to peer.ID, key []byte) ([]protocol.Peer, error) {
	w.asked[to]++
	target := keyspace.KeyOf(key)
	honest := nearest(&target, w.tables[to], w.places, w.named)
	if bend := w.bends[to]; bend != nil {
		return bend(key, honest)
	}
	return honest, nil
}

// nearest names the n of a table that are nearest to a key.
func nearest(target *keyspace.Key, table []peer.ID, places map[peer.ID]keyspace.Key, n int) (named []protocol.Peer) {
	type far struct {
		keyspace.Distance
		peer.ID
	}
	all := make([]far, len(table))
	for i, p := range table {
		at := places[p]
		all[i] = far{keyspace.DistanceOf(target, &at), p}
	}
	slices.SortFunc(all, func(a, b far) int { return a.Distance.Compare(&b.Distance) })
	for _, f := range all[:min(len(all), n)] {
		named = append(named, protocol.Peer{ID: []byte(f.ID), Addrs: [][]byte{somewhere}})
	}
	return named
}

func (w *town) Leave(p peer.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left[p]++
}

func (w *town) seeds(n int) (seeds []crawl.Peer) {
	for _, p := range w.peers[:n] {
		seeds = append(seeds, crawl.Peer{ID: p, Addrs: [][]byte{somewhere}})
	}
	return seeds
}

// run crawls the town and returns the visits, each peer's last.
func (w *town) run(t testing.TB, ctx context.Context, cfg crawl.Config) (crawl.Result, map[peer.ID]crawl.Visit) {
	t.Helper()
	visits := make(map[peer.ID]crawl.Visit)
	r, err := crawl.Run(ctx, w, w.seeds(1), cfg, func(v crawl.Visit) {
		if last, ok := visits[v.Peer.ID]; ok != v.Again || ok && last.Answered {
			t.Errorf("%s was visited before: %t, and says %t", v.Peer.ID, ok, v.Again)
		}
		visits[v.Peer.ID] = v
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, visits
}

// same reports whether both hold the same peers, in whatever order.
func same(a, b []peer.ID) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// missing are the edges of the town's tables that visits lack, and those that no table has.
func (w *town) missing(visits map[peer.ID]crawl.Visit) (lost, made int) {
	for p, table := range w.tables {
		told := make(map[peer.ID]bool)
		for _, n := range visits[p].Neighbours {
			told[n] = true
		}
		for _, n := range table {
			if !told[n] {
				lost++
			}
			delete(told, n)
		}
		made += len(told)
	}
	return lost, made
}

// Every peer and every member of every table is found, however wide the buckets are and however few an answer names.
func TestWholeTables(t *testing.T) {
	for _, c := range []struct{ n, k, wide, perTable int }{{2, 20, 0, 3}, {15, 20, 0, 4}, {400, 20, 0, 30}, {200, 3, 0, 60}, {300, 8, 3, 140}, {3, 20, 0, 40}} {
		w := newTown(t, uint64(c.n*c.k), c.n, c.k, c.wide)
		r, visits := w.run(t, t.Context(), crawl.Config{Seed: 7})
		lost, made := w.missing(visits)
		if r.End != crawl.Whole || r.Known != c.n || r.Answered != c.n || r.Waiting != 0 || len(visits) != c.n || lost != 0 || made != 0 {
			t.Errorf("%+v: %+v, %d visits, %d members of tables not found, %d that are none", c, r, len(visits), lost, made)
		}
		for p, v := range visits {
			if !v.Whole || v.Err != nil || v.Requests != w.asked[p] || w.left[p] != 1 || v.Requests > c.perTable {
				t.Errorf("%+v: %s: whole %t, %v, %d requests and %d counted, left %d times", c, p, v.Whole, v.Err, v.Requests, w.asked[p], w.left[p])
			}
		}
		t.Logf("%d peers, k %d, far buckets %d: %d requests, %.1f a table of %.1f", c.n, c.k, c.k<<c.wide, r.Requests, float64(r.Requests)/float64(c.n), float64(r.Edges)/float64(c.n))
	}
}

// The walk itself is the same for the same seed and the same answers in the same order, and asks for other keys with another seed.
func TestWalkIsReplayed(t *testing.T) {
	w := newTown(t, 3, 120, 8, 1)
	transcript := func(seed uint64) []byte {
		walk := crawl.NewWalk(crawl.Config{Seed: seed, Parallel: 5}, w.seeds(2))
		var out bytes.Buffer
		var pending []crawl.Ask
		rng := rand.New(rand.NewPCG(9, 9))
		for {
			for a, ok := walk.Next(); ok; a, ok = walk.Next() {
				fmt.Fprintf(&out, "%s %x\n", a.To.ID, a.Key)
				pending = append(pending, a)
			}
			if len(pending) == 0 {
				return out.Bytes()
			}
			i := rng.IntN(len(pending))
			a := pending[i]
			pending = slices.Delete(pending, i, i+1)
			closer, err := w.find(a.To.ID, a.Key)
			if v, done := walk.Answer(a, closer, err); done {
				fmt.Fprintln(&out, v.Peer.ID, v.Neighbours, v.SoFar)
			}
		}
	}
	first := transcript(1)
	if !bytes.Equal(first, transcript(1)) {
		t.Error("the same seed makes another walk")
	}
	if bytes.Equal(first, transcript(2)) {
		t.Error("another seed makes the same walk: whoever is asked could know what comes next")
	}
}

// Memory of what is known holds nothing twice.
func TestAddIsOncePerPeer(t *testing.T) {
	w := newTown(t, 4, 30, 20, 0)
	walk := crawl.NewWalk(crawl.Config{}, append(w.seeds(30), w.seeds(30)...))
	walk.Add(w.seeds(5)...)
	seen := make(map[peer.ID]int)
	for a, ok := walk.Next(); ok; a, ok = walk.Next() {
		seen[a.To.ID]++
	}
	if p := walk.Progress(); p.Known != 30 || p.Visits != 30 || p.Waiting != 0 || len(seen) != 30 || slices.Max(slices.Collect(maps.Values(seen))) != 1 {
		t.Errorf("%+v, asked %v", p, seen)
	}
}
