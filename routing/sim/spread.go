package sim

import (
	"math"
	"time"
)

// Spread is how single lookups lie around the means of Lookups.
type Spread struct {
	// Took counts the lookups by how long they took: bins that nothing fell into are
	// left out.
	Took []Bin `json:",omitempty"`
	// HopCounts[h] is how many lookups took h hops.
	HopCounts []int `json:",omitempty"`
}

// Bin counts the lookups that took no longer than UpTo, and longer than an eighth
// of a doubling less.
type Bin struct {
	UpTo    time.Duration
	Lookups int
}

// binsPerDoubling: the bins are 9 % wide, as much as the links' jitter.
const binsPerDoubling = 8

// upTo returns the upper end of bin i, to the microsecond.
func upTo(i int) time.Duration {
	return time.Duration(math.Round(1000*math.Exp2(float64(i)/binsPerDoubling))) * time.Microsecond
}

// spread counts the outcomes; sorted is how long they took, the shortest first.
func spread(all []outcome, sorted []int64) (s Spread) {
	bin := 0
	for _, took := range sorted {
		for time.Duration(took) > upTo(bin) {
			bin++
		}
		if n := len(s.Took); n == 0 || s.Took[n-1].UpTo != upTo(bin) {
			s.Took = append(s.Took, Bin{UpTo: upTo(bin)})
		}
		s.Took[len(s.Took)-1].Lookups++
	}
	for i := range all {
		for len(s.HopCounts) <= int(all[i].hops) {
			s.HopCounts = append(s.HopCounts, 0)
		}
		s.HopCounts[all[i].hops]++
	}
	return s
}
