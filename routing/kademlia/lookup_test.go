package kademlia

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kdht/kdht/protocol/keyspace"
	"pgregory.net/rapid"
)

// walk drives one Lookup over an imaginary network in a random order of events
// and checks its invariants at every step.
type walk struct {
	*rapid.T
	lookup   *Lookup
	contacts []*Contact
	dead     map[int]bool
	inFlight []int // asked, nothing heard yet
	byKey    map[keyspace.Key]int
	asked    map[int]bool
}

func newWalk(t *rapid.T, n, k, alpha, beta int) *walk {
	w := &walk{T: t, dead: map[int]bool{}, byKey: map[keyspace.Key]int{}, asked: map[int]bool{}}
	for i := range n {
		c := testContact(uint64(i))
		w.contacts = append(w.contacts, c)
		w.byKey[c.Key] = i
		if i > 0 && rapid.IntRange(0, 4).Draw(t, "dies") == 0 {
			w.dead[i] = true
		}
	}
	target := keyspace.KeyOf(fmt.Appendf(nil, "target %d", rapid.Byte().Draw(t, "target")))
	w.lookup = newLookup(target, k, alpha, beta, w.contacts[:1])
	return w
}

// closest returns the k peers nearest to the target, only the living if asked.
func (w *walk) closest(k int, living bool) []*Contact {
	all := slices.DeleteFunc(slices.Clone(w.contacts), func(c *Contact) bool { return living && w.dead[w.byKey[c.Key]] })
	slices.SortFunc(all, func(a, b *Contact) int { return keyspace.CompareDistance(&w.lookup.target, &a.Key, &b.Key) })
	return all[:min(k, len(all))]
}

// ask asks whom the lookup names.
func (w *walk) ask() {
	for c := w.lookup.Next(); c != nil; c = w.lookup.Next() {
		i := w.byKey[c.Key]
		if w.asked[i] {
			w.Fatalf("peer %d is asked twice", i)
		}
		w.asked[i] = true
		w.inFlight = append(w.inFlight, i)
		if w.lookup.slots > max(w.lookup.alpha, w.lookup.k) {
			w.Fatalf("%d slots in use", w.lookup.slots)
		}
		if !w.converged() && w.lookup.slots > w.lookup.alpha {
			w.Fatalf("%d slots in use before the β nearest have answered", w.lookup.slots)
		}
	}
}

// converged is the definition of the paper, said once more: none of the β
// nearest that have not failed is without an answer. Who takes long does not
// keep the others from going on.
func (w *walk) converged() bool {
	live := slices.DeleteFunc(slices.Clone(w.lookup.candidates), func(c candidate) bool { return c.state == failed || c.state == slow })
	for i := range w.lookup.beta {
		if i >= len(live) || live[i].state != answered {
			return false
		}
	}
	return true
}

// settle lets one of the requests in flight, any of them, come to its end.
func (w *walk) settle(told int) {
	at := rapid.IntRange(0, len(w.inFlight)-1).Draw(w.T, "next")
	i := w.inFlight[at]
	c := w.contacts[i]
	if w.lookup.candidates[w.position(c)].state == asking && rapid.IntRange(0, 5).Draw(w.T, "slow") == 0 {
		w.lookup.Slow(&c.Key)
		return
	}
	w.inFlight = slices.Delete(w.inFlight, at, at+1)
	if w.dead[i] {
		w.lookup.Failed(&c.Key, false)
		return
	}
	w.lookup.Answered(&c.Key, w.closest(told, false))
}

func (w *walk) position(c *Contact) int {
	i, known := w.lookup.find(&c.Key)
	if !known {
		w.Fatalf("an asked peer is no candidate")
	}
	return i
}

func TestLookupFindsTheClosestLiving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(1, 8).Draw(t, "k")
		w := newWalk(t, rapid.IntRange(1, 40).Draw(t, "n"), k, rapid.IntRange(1, 5).Draw(t, "alpha"), rapid.IntRange(1, 4).Draw(t, "beta"))
		// Everyone names k living peers at least, however many have died.
		told := k + len(w.dead)
		for w.ask(); !w.lookup.Done(); w.ask() {
			if len(w.inFlight) == 0 {
				t.Fatal("the lookup waits for nothing")
			}
			w.settle(told)
		}
		got := w.lookup.appendAnswered(nil, k)
		if want := w.closest(k, true); !slices.Equal(idsOf(got), idsOf(want)) {
			t.Fatalf("found %d peers, not the %d closest living", len(got), len(want))
		}
		for i, c := range w.lookup.candidates[1:] {
			if keyspace.CompareDistance(&w.lookup.target, &w.lookup.candidates[i].contact.Key, &c.contact.Key) >= 0 {
				t.Fatal("candidates are out of order")
			}
		}
	})
}

func TestLookupLateAnswerCounts(t *testing.T) {
	a, b := testContact(1), testContact(2)
	l := newLookup(a.Key, 2, 1, 1, []*Contact{a})
	if l.Next() != a {
		t.Fatal("the only seed is not asked")
	}
	l.Failed(&a.Key, false)
	if !l.Done() {
		t.Fatal("not done though nobody is left")
	}
	l.Answered(&a.Key, []*Contact{b})
	if l.Done() || l.Next() != b {
		t.Fatal("the peer named by a late answer is not asked")
	}
	l.Answered(&b.Key, nil)
	if got := l.appendAnswered(nil, 2); len(got) != 2 || got[0] != a {
		t.Fatalf("the late peer is missing: %v", got)
	}
}

// A peer that invents ever nearer peers cannot keep a lookup going for ever.
func TestLookupIsBounded(t *testing.T) {
	var target keyspace.Key
	l := newLookup(target, 20, 10, 3, []*Contact{testContact(0)})
	near := keyspace.Key{0: 0xff}
	asked := 0
	for c := l.Next(); c != nil; c = l.Next() {
		asked++
		var invented []*Contact
		for range 21 {
			for i := len(near) - 1; i >= 0; i-- { // one nearer than the last
				near[i]--
				if near[i] != 0xff {
					break
				}
			}
			invented = append(invented, contactAt(near))
		}
		l.Answered(&c.Key, invented)
	}
	if asked != maxAsked || !l.Done() {
		t.Errorf("asked %d peers, want %d and done", asked, maxAsked)
	}
	if len(l.candidates) > maxCandidates {
		t.Errorf("%d candidates, bound is %d", len(l.candidates), maxCandidates)
	}
}

// What a lookup costs in bookkeeping: 30 answers of 20 peers each.
func BenchmarkLookup(b *testing.B) {
	contacts := make([]*Contact, 600)
	for i := range contacts {
		contacts[i] = testContact(uint64(i))
	}
	target := keyspace.KeyOf([]byte("target"))
	b.ReportAllocs()
	for b.Loop() {
		l := newLookup(target, 20, 10, 3, contacts[:20])
		for i := 1; i < 30; i++ {
			if c := l.Next(); c != nil {
				l.Answered(&c.Key, contacts[i*20:(i+1)*20])
			}
		}
	}
}
