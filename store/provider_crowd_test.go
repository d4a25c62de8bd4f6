package store

import "testing"

// TestCrowdOrder lets records come and go in always the same order: each of those left is
// at each place equally often.
func TestCrowdOrder(t *testing.T) {
	const come, gone, rounds = 9, 3, 60_000
	const left = come - gone
	var seen [come][left]int
	var all crowds
	for range rounds {
		c := &crowd{}
		for i := range come {
			all.append(c, newWord(uint32(i), 1, 1))
			if i >= come-gone {
				at, _ := c.find(uint32(i - 4))
				c.remove(at)
			}
		}
		for at, w := range c.words {
			seen[w.number()][at]++
		}
	}
	for i, places := range seen {
		for at, n := range places {
			removed := i >= come-gone-4 && i < come-4
			if want := rounds / left; removed != (n == 0) || !removed && (n < want*19/20 || n > want*21/20) {
				t.Errorf("record %d was at place %d %d times of %d", i, at, n, rounds)
			}
		}
	}
}

// TestCrowdWindow asks a large crowd as often as it has records: the window begins at each
// of them equally often.
func TestCrowdWindow(t *testing.T) {
	const n = 3 * window
	c, all := &crowd{}, crowds{}
	for i := range n {
		all.append(c, newWord(uint32(i), 1, 1))
	}
	began := make(map[int]int)
	for range n * windowStep {
		size, first := c.window(32)
		if size != window {
			t.Fatalf("a window of %d", size)
		}
		began[first]++
	}
	for first := range n {
		if began[first] != windowStep {
			t.Errorf("%d windows begin at %d", began[first], first)
		}
	}
	if size, first := c.window(n); size != n || first != 0 {
		t.Errorf("%d from %d on for an answer of all", size, first)
	}
}
