package kademlia

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// Who learns the whole network knows nearly everybody after a round, at a few requests each,
// finds whom it looks for in one hop, and hears of who has come. When its own
// network is gone it forgets nobody.
func TestWholeTable(t *testing.T) {
	const nodes, k = 300, 8
	w := newWorld(t, 60)
	w.grow(nodes, func(c *Config) { c.K = k })
	m := w.add(nodes, func(c *Config) { c.K, c.Whole = k, 2*time.Minute })
	m.node.PeerSeen(w.now, w.order[0].contact)
	m.touch()
	if s := m.node.WholeTable(); s.Ready || s.Peers != 0 {
		t.Errorf("before anything: %+v", s)
	}
	w.runUntil(5*time.Minute, func() bool { return m.node.WholeTable().Ready })
	s := m.node.WholeTable()
	t.Logf("%+v: %d bytes a peer, %.2f requests", s, s.Bytes/s.Peers, float64(s.Requests)/nodes)
	if s.Peers < nodes*98/100 || s.Peers > nodes || s.Requests > 8*nodes || s.Rounds != 1 {
		t.Errorf("after a round: %+v", s)
	}
	hops, exact := 0, 0
	const lookups = 60
	for i := range lookups {
		key := fmt.Appendf(nil, "key %d", i)
		r := w.await(m, func(done func(time.Time, Result)) { m.node.FindNode(w.now, key, done) })
		hops += r.Report.Hops
		if slices.Equal(idsOf(r.Closest), w.closest(key, k, m.contact.ID)) {
			exact++
		}
	}
	if hops > lookups*12/10 || exact < lookups*95/100 {
		t.Errorf("%d hops in %d lookups, %d exact", hops, lookups, exact)
	}
	m.fate = cut
	before := m.node.WholeTable().Peers
	w.run(w.now.Add(6 * time.Minute))
	if s := m.node.WholeTable(); s.Peers < before || s.Failed == 0 {
		t.Errorf("alone: %+v, %d before", s, before)
	}
}

// A picture holds what it is given, names the nearest, and half of a tract is gone only when
// that has been seen twice.
func TestPicture(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	var all []*Contact
	for range 500 {
		all = append(all, testContact(rng.Uint64()))
	}
	w := whole{node: &Node{cfg: Config{K: 20}}}
	everything := tract{}
	w.picture.replace(everything, all)
	if w.picture.count != 500 || w.picture.within(everything) != 500 {
		t.Fatalf("%d of 500 are there", w.picture.count)
	}
	for range 50 {
		target := testContact(rng.Uint64()).Key
		slices.SortFunc(all, func(a, b *Contact) int { return keyspace.CompareDistance(&target, &a.Key, &b.Key) })
		got := w.picture.closest(&target, 20)
		for i, c := range got {
			if len(got) != 20 || c.ID != all[i].ID || !c.sameAddrs(all[i]) {
				t.Fatalf("the %d-th nearest is %v, want %v", i, c, all[i])
			}
		}
	}
	size := w.picture.bytes()
	half := tract{1 << 63, 1}
	was, other := w.picture.within(half), w.picture.within(tract{0, 1})
	var few []*Contact
	for _, c := range all {
		if half.holds(prefixOf(&c.Key)) && len(few) < was/3 {
			few = append(few, c)
		}
	}
	found := func() *survey { return &survey{tract: half, inside: surveyed, found: slices.Clone(few[:15])} }
	w.learn(half, all[0].Key, found(), &Result{})
	if w.picture.within(half) != was || w.stat.Kept != 1 {
		t.Errorf("%d of %d are left of a tract of which few were found once: %+v", w.picture.within(half), was, w.stat)
	}
	w.learn(half, all[0].Key, &survey{tract: half}, &Result{Err: ErrNoAnswer})
	if w.picture.within(half) != was || w.stat.Failed != 1 {
		t.Errorf("%d of %d are left of a tract that nobody answered for", w.picture.within(half), was)
	}
	w.learn(half, all[0].Key, found(), &Result{})
	if w.picture.within(half) != 15 || w.picture.within(tract{0, 1}) != other || w.picture.bytes() >= size {
		t.Errorf("%d are left of a tract of which 15 were found twice", w.picture.within(half))
	}
}
