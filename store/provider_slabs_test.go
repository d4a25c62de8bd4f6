package store

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// checkSlabs counts what pages have of each chunk, and that no two have the same memory.
func checkSlabs(t *rapid.T, s *slabs, list []page) {
	t.Helper()
	live := make([]int, len(s.chunks))
	heap := 0
	for i := range list {
		if p := &list[i]; p.chunk == 0 {
			heap += len(p.b)
		} else {
			live[p.chunk-1] += len(p.b)
		}
	}
	sum, held := 0, 0
	for i, c := range s.chunks {
		if c.live != live[i] || c.live > c.used || c.used > len(c.mem) {
			t.Fatalf("BUG: chunk %d of %d bytes: %d used, %d live, pages have %d", i, len(c.mem), c.used, c.live, live[i])
		}
		sum, held = sum+c.live, held+len(c.mem)
	}
	if sum != s.live || held != s.held || heap != s.heap {
		t.Fatalf("BUG: %d of %d bytes live, %d on the heap; counted %d of %d, %d", s.live, s.held, s.heap, sum, held, heap)
	}
}

// TestSlabs lets pages full of one byte each grow, shrink, come and go in bulk: each keeps
// its bytes, little is wasted, and all is given back.
func TestSlabs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := new(arena)
		defer a.close()
		s := &slabs{arena: a}
		var list []page
		var want []byte // what page i is full of
		next := byte(0)
		fill := func(p *page, from int, with byte) {
			for i := from; i < len(p.b); i++ {
				p.b[i] = with
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				checkSlabs(t, s, list)
				for i := range list {
					if p := &list[i]; bytes.Count(p.b, want[i:i+1]) != len(p.b) {
						t.Fatalf("page %d of %d bytes, full of %d, is %x", i, len(p.b), want[i], p.b)
					}
				}
			},
			"come": func(t *rapid.T) {
				n := rapid.IntRange(1, maxSlab).Draw(t, "need")
				for range rapid.IntRange(1, 200).Draw(t, "n") {
					var p page
					s.get(&p, n)
					if len(p.b) < n {
						t.Fatalf("%d bytes for %d", len(p.b), n)
					}
					next++
					fill(&p, 0, next)
					list, want = append(list, p), append(want, next)
				}
			},
			"resize": func(t *rapid.T) {
				step, need := rapid.IntRange(1, 5).Draw(t, "step"), rapid.IntRange(1, maxSlab).Draw(t, "need")
				for i := 0; i < len(list); i += step {
					p := &list[i]
					p.words = uint16(min(need, len(p.b)) / wordSize) // what is used
					s.resize(p, need)
					fill(p, p.used(), want[i])
					p.words = 0
				}
			},
			"go": func(t *rapid.T) {
				step := rapid.IntRange(1, 5).Draw(t, "step")
				for i := len(list) - 1; i >= 0; i -= step {
					s.put(&list[i])
					last := len(list) - 1
					list[i], want[i] = list[last], want[last]
					list, want = list[:last], want[:last]
				}
			},
			"clean": func(t *rapid.T) {
				s.clean(list)
				if wasted := s.held - s.live; wasted > s.held/waste+chunkSize {
					t.Fatalf("%d of %d bytes are wasted", wasted, s.held)
				}
			},
		})
		s.discard()
		if free := len(a.free) * chunkSize; free != len(a.regions)*regionSize || s.held != 0 {
			t.Fatalf("%d bytes were given back of %d", free, len(a.regions)*regionSize)
		}
	})
}
