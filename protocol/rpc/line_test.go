package rpc

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

func newTurn(name string, rank int, cost float64) *turn {
	return &turn{peer: peer.ID(name), rank: rank, cost: cost, ready: make(chan error, 1)}
}

// TestLineIsFair: as long as two peers of a rank both have requests waiting, the
// units they are served differ by less than two of their dearest requests, and so
// do those of the ranks; whatever the others do, and however many each sends.
func TestLineIsFair(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		peers := rapid.IntRange(2, 6).Draw(rt, "peers")
		const dearest = 8.0
		l := newLine(1 << 20)
		waiting := make([]int, peers)
		units := make([]float64, peers)            // served
		var since [8][8]float64                    // units[i]-units[j] when both began to wait
		rankOf := func(i int) int { return i % 2 } // two ranks
		rankUnits, rankGap := [2]float64{}, 0.0    // served by rank
		both := func(i, j int) bool { return waiting[i] > 0 && waiting[j] > 0 }
		ranks := func() (bool, bool) {
			return len(l.ranks[entitled].waiting) > 0, len(l.ranks[strange].waiting) > 0
		}
		push := func(i int) {
			was := slices.Clone(waiting)
			e, s := ranks()
			cost := rapid.Float64Range(0.2, dearest).Draw(rt, "cost")
			if !l.push(newTurn(fmt.Sprint(i), rankOf(i), cost)) {
				rt.Fatal("refused")
			}
			waiting[i]++
			for j := range peers {
				if both(i, j) && (was[i] == 0 || was[j] == 0) {
					since[i][j], since[j][i] = units[i]-units[j], units[j]-units[i]
				}
			}
			if e2, s2 := ranks(); e2 && s2 && !(e && s) {
				rankGap = rankUnits[0] - rankUnits[1]
			}
		}
		for range rapid.IntRange(1, 300).Draw(rt, "steps") {
			if i := rapid.IntRange(0, 2*peers).Draw(rt, "who"); i < peers {
				for range rapid.IntRange(1, 9).Draw(rt, "how many") {
					push(i)
				}
			} else if l.len() > 0 {
				e, s := ranks()
				served := l.pop()
				var i int
				fmt.Sscan(string(served.peer), &i)
				units[i] += served.cost
				rankUnits[served.rank] += served.cost
				for j := range peers {
					if i == j || rankOf(i) != rankOf(j) || !both(i, j) {
						continue
					}
					if gap := units[i] - units[j] - since[i][j]; math.Abs(gap) > 2*dearest+1e-9 {
						rt.Fatalf("%d is %.2f units ahead of %d", i, gap, j)
					}
				}
				if e && s {
					if gap := rankUnits[0] - rankUnits[1] - rankGap; math.Abs(gap) > 2*dearest+1e-9 {
						rt.Fatalf("the entitled are %.2f units ahead", gap)
					}
				}
				waiting[i]--
			}
		}
	})
}

// TestLineKeepsItsBooks compares lengths, units and order within a peer with a
// plain list, over pushes, pops, sheds and removals.
func TestLineKeepsItsBooks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(rt, "per peer")
		l := newLine(limit)
		var all []*turn // in order of arrival
		of := func(t *turn) (mine []*turn) {
			for _, o := range all {
				if o.peer == t.peer {
					mine = append(mine, o)
				}
			}
			return mine
		}
		gone := func(t *turn) {
			i := slices.Index(all, t)
			if i < 0 || t.arrival != 0 {
				rt.Fatal("a turn that was not in")
			}
			all = slices.Delete(all, i, i+1)
		}
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0, 1, 2:
				i := rapid.IntRange(0, 7).Draw(rt, "who")
				t := newTurn(fmt.Sprint(i), i%2, float64(rapid.IntRange(1, 9).Draw(rt, "cost")))
				if l.push(t) != (len(of(t)) < limit) {
					rt.Fatalf("with %d waiting of %d: the other", len(of(t)), limit)
				}
				if t.arrival != 0 {
					all = append(all, t)
				}
			case 3:
				if len(all) > 0 {
					t := l.pop()
					if of(t)[0] != t {
						rt.Fatal("overtaken by a later request of its own peer")
					}
					gone(t)
				}
			case 4:
				if len(all) > 0 {
					t := l.shed()
					for _, o := range of(t) {
						if o.cost > t.cost {
							rt.Fatal("a cheaper one than another of its peer")
						}
					}
					gone(t)
				}
			case 5:
				if len(all) > 0 {
					t := rapid.SampledFrom(all).Draw(rt, "gives up")
					l.remove(t)
					gone(t)
				}
			}
			check(rt, &l, all)
		}
	})
}

// check compares the line's sums with the turns that wait.
func check(rt *rapid.T, l *line, all []*turn) {
	if l.len() != len(all) {
		rt.Fatalf("%d wait, want %d", l.len(), len(all))
	}
	for k := range l.ranks {
		r := &l.ranks[k]
		units, turns := 0.0, 0
		for i, f := range r.waiting {
			if f.at != i || r.flows[f.peer] != f || len(f.turns) == 0 {
				rt.Fatal("a flow is not where it says")
			}
			turns += len(f.turns)
		}
		for _, t := range all {
			if t.rank == k {
				units += t.cost
				turns--
			}
		}
		if turns != 0 || math.Abs(units-r.units) > 1e-6 {
			rt.Fatalf("rank %d: %d too many, %v units, want %v", k, turns, r.units, units)
		}
		if len(r.waiting) == 0 && len(r.flows) != 0 {
			rt.Fatal("nobody waits and somebody is remembered")
		}
	}
}

// TestLineRemembersFewPeers: names that come, are served once and never come back
// do not fill the memory while others keep waiting.
func TestLineRemembersFewPeers(t *testing.T) {
	l := newLine(64)
	for range 64 {
		l.push(newTurn("patient", strange, 1e9))
	}
	for i := range 10 * maxIdleFlows {
		l.push(newTurn(fmt.Sprint(i), strange, float64(10*maxIdleFlows-i))) // tags that nobody reaches
		l.push(newTurn(fmt.Sprint(i), entitled, 1))
		l.pop()
		l.pop()
		if n := len(l.ranks[strange].flows) + len(l.ranks[entitled].flows); n > maxIdleFlows+3 {
			t.Fatalf("%d peers are remembered", n)
		}
	}
}

// TestLineSheds tells who goes when there are too many.
func TestLineSheds(t *testing.T) {
	type arrival struct {
		name string
		rank int
		cost float64
	}
	for _, c := range []struct {
		why      string
		arrivals []arrival
		sheds    []string // peer and cost
	}{
		{"of two the dearer", []arrival{{"a", strange, 1}, {"b", strange, 5}, {"c", strange, 2}}, []string{"b 5", "c 2", "a 1"}},
		{"whoever has most waiting", []arrival{{"a", strange, 1}, {"a", strange, 1}, {"a", strange, 1}, {"b", strange, 2}}, []string{"a 1", "b 2", "a 1", "a 1"}},
		{"of one peer the dearest", []arrival{{"a", strange, 1}, {"a", strange, 3}, {"a", strange, 2}}, []string{"a 3", "a 2", "a 1"}},
		{"of equals the newest", []arrival{{"a", strange, 1}, {"b", strange, 1}}, []string{"b 1", "a 1"}},
		{"strangers first", []arrival{{"a", entitled, 2}, {"b", strange, 2}}, []string{"b 2", "a 2"}},
		{"but not for members that want more than their half", []arrival{{"a", entitled, 2}, {"b", strange, 1}}, []string{"a 2", "b 1"}},
	} {
		l := newLine(8)
		for _, a := range c.arrivals {
			l.push(newTurn(a.name, a.rank, a.cost))
		}
		var got []string
		for l.len() > 0 {
			s := l.shed()
			got = append(got, fmt.Sprintf("%s %v", string(s.peer), s.cost))
		}
		if !slices.Equal(got, c.sheds) {
			t.Errorf("%s: shed %q, want %q", c.why, got, c.sheds)
		}
	}
}

// TestLineForgivesWhatItDropped: a peer whose requests are dropped all the time is
// served as much as one that asks for little less than its share.
func TestLineForgivesWhatItDropped(t *testing.T) {
	l := newLine(64)
	served := map[peer.ID]int{}
	for range 10_000 {
		for range 20 {
			l.push(newTurn("greedy", strange, 1))
		}
		l.push(newTurn("modest", strange, 1))
		for l.len() > 32 {
			l.shed()
		}
		served[l.pop().peer]++
		served[l.pop().peer]++
	}
	if served["modest"] < 9_990 || served["greedy"] < 9_990 {
		t.Errorf("served %v, want half each", served)
	}
}

// TestLineRemembersWhoWasServed: a peer that sends its next request only when the
// last one was served has no more of it than one that sends many at once.
func TestLineRemembersWhoWasServed(t *testing.T) {
	l := newLine(64)
	units := map[peer.ID]float64{}
	l.push(newTurn("quick", strange, 8))
	for range 1000 {
		for range 8 {
			l.push(newTurn("many", strange, 1))
		}
		s := l.pop()
		if units[s.peer] += s.cost; s.peer == "quick" {
			l.push(newTurn("quick", strange, 8))
		}
	}
	if gap := units["quick"] - units["many"]; math.Abs(gap) > 16 {
		t.Errorf("units served: %v", units)
	}
}
