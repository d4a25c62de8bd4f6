package store

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPages does random things to pages and to a map, in bulk, so that pages are
// split, joined and dropped and crowds come and go.
func TestPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pages
		want := make(map[ident][]word)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		// Few distances that differ in few bits, or many.
		spread := rapid.SampledFrom([]int{30, 1000}).Draw(t, "spread")
		anyIdent := func() ident {
			return ident{uint64(random.IntN(spread)) << rapid.SampledFrom([]int{0, 50}).Draw(t, "shift"), uint16(random.IntN(2))}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { comparePages(t, &p, want) },
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 500).Draw(t, "n") {
					id, w := anyIdent(), newWord(uint32(random.IntN(400)), 7, 7)
					if slices.ContainsFunc(want[id], func(o word) bool { return o.number() == w.number() }) {
						continue
					}
					k, found := p.find(id)
					p.add(k, found, id, w)
					want[id] = append(want[id], w)
				}
			},
			"remove": func(t *rapid.T) {
				for range rapid.IntRange(1, 700).Draw(t, "n") {
					id := anyIdent()
					k, found := p.find(id)
					if found != (len(want[id]) > 0) {
						t.Fatalf("%+v found: %t, want %d records", id, found, len(want[id]))
					}
					if !found {
						continue
					}
					if random.IntN(3) == 0 {
						p.removeKey(&k)
						delete(want, id)
					} else {
						removeAny(t, &p, &k, want, id, random)
					}
					p.tidyEmpty(k.page)
				}
			},
			"tidy": func(t *rapid.T) {
				for i := 0; i < len(p.list); {
					if !p.tidy(i) {
						i++
					}
				}
			},
		})
	})
}

// removeAny removes one of the records of a key.
func removeAny(t *rapid.T, p *pages, k *spot, want map[ident][]word, id ident, random *rand.Rand) {
	i := random.IntN(len(want[id]))
	at, found := p.findNumber(k, want[id][i].number())
	if !found || p.word(k, at) != want[id][i] {
		t.Fatalf("record %d of %+v: %d, %t", i, id, at, found)
	}
	p.remove(k, at)
	if want[id] = slices.Delete(want[id], i, i+1); len(want[id]) == 0 {
		delete(want, id)
	}
}

func comparePages(t *rapid.T, p *pages, want map[ident][]word) {
	t.Helper()
	keys := 0
	last := ident{}
	checkPages(t, p, func(k *spot) {
		id := p.list[k.page].ident(k.key)
		if keys > 0 && (id.far < last.far || id.far == last.far && id.check <= last.check) {
			t.Fatalf("%+v follows %+v", id, last)
		}
		last = id
		keys++
		var got []word
		for i := range k.len() {
			got = append(got, p.word(k, i))
		}
		slices.Sort(got)
		sorted := slices.Sorted(slices.Values(want[id]))
		if !slices.Equal(got, sorted) {
			t.Fatalf("%+v has %x, want %x", id, got, sorted)
		}
	})
	if keys != len(want) {
		t.Fatalf("%d keys, want %d", keys, len(want))
	}
}

// TestWord reads the times of a record at every age it may have.
func TestWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		added := rapid.Uint32Range(firstTick, 1<<32-1-maxValidity).Draw(t, "added")
		first := added - rapid.Uint32Range(0, maxValidity).Draw(t, "standing")
		number := rapid.Uint32Range(0, 1<<numberBits-1).Draw(t, "number")
		at := added + rapid.Uint32Range(0, maxValidity).Draw(t, "age")
		w := newWord(number, added, first)
		if w.number() != number || w.added(at) != added || w.first(at) > first || first-w.first(at) >= firstUnit {
			t.Fatalf("number %d, added %d, first %d read at %d as %d, %d, %d", number, added, first, at, w.number(), w.added(at), w.first(at))
		}
		r := w.renewed(at)
		if r.number() != number || r.added(at) != at || r.first(at) > at || r.standing(at) > longestStanding {
			t.Fatalf("renewed at %d: %d, %d, standing %d", at, r.number(), r.added(at), r.standing(at))
		}
		if w.old(at, maxValidity) || !w.old(added+maxValidity+1, maxValidity) {
			t.Fatal("old at the wrong time")
		}
	})
}
