package measure

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Point is one look at the target in a soak: its resident set as it is, and then,
// when all garbage has been collected and given back, again, with the heap that
// lives. What is collected comes back with the load, what leaks stays.
type Point struct {
	At                 time.Duration
	RSS, Lasting, Heap int64
	Goroutines         int
}

// warmUp is the part of a soak that is not judged: a node's tables of peers, and
// libp2p's, fill up in minutes and stay full.
const warmUp = 1.0 / 4

// Soak is a long steady load: what was seen, and what remained when it was over.
type Soak struct {
	Points []Point
	// Slope is the growth in bytes an hour after the warm-up, of the resident set
	// without garbage, RawSlope with it, HeapSlope of what lives on the heap.
	Slope, RawSlope, HeapSlope float64
	// Base and Left are the goroutines before and after; Failed the honest requests
	// that failed, of Requests.
	Base, Left, Failed, Requests int
	Counts                       map[string]int64
}

// RunSoak loads the target for so long and looks at it 60 times. Goroutines are
// counted before the first and after the last request of the load, with the same
// honest clients connected.
func (b *Bench) RunSoak(ctx context.Context, long time.Duration) (*Soak, error) {
	s := &Soak{}
	looks := int(min(12, long/time.Second))
	first, err := b.settled(ctx, looks)
	if err != nil {
		return nil, err
	}
	s.Base = first.Goroutines
	began := time.Now()
	_, r, err := b.attack(ctx, "steady", long, func(ctx context.Context) {
		for pause(ctx, long/60) == nil {
			state, err := b.target.state(context.WithoutCancel(ctx))
			if err != nil {
				return
			}
			p := Point{At: time.Since(began), RSS: state.RSS, Goroutines: state.Goroutines}
			if b.target.process.ask(context.WithoutCancel(ctx), "collected", &state) != nil {
				return
			}
			p.Lasting, p.Heap = state.RSS, state.Heap
			s.Points = append(s.Points, p)
		}
	})
	if err != nil {
		return s, err
	}
	if !b.target.process.alive() {
		return s, fmt.Errorf("measure: the target has ended: %s", b.target.process.errs)
	}
	s.Counts = r.Counts
	honest := side(b.target.load.between(began, time.Now()))
	s.Requests, s.Failed = honest.Requests+honest.Newcomers, honest.Failed+honest.Rejected
	warm := s.Points[int(float64(len(s.Points))*warmUp):]
	s.Slope = slope(warm, func(p Point) int64 { return p.Lasting })
	s.RawSlope = slope(warm, func(p Point) int64 { return p.RSS })
	s.HeapSlope = slope(warm, func(p Point) int64 { return p.Heap })
	last, err := b.settled(ctx, looks)
	s.Left = last.Goroutines
	return s, err
}

// settled is the target's state with the fewest goroutines of several looks: one
// in the midst of a request has more.
func (b *Bench) settled(ctx context.Context, looks int) (least State, err error) {
	for i := range looks {
		if err := pause(ctx, time.Second); err != nil {
			return least, err
		}
		s, err := b.target.state(ctx)
		if err != nil {
			return least, err
		}
		if i == 0 || s.Goroutines < least.Goroutines {
			least = s
		}
	}
	return least, nil
}

// slope is the growth of a figure an hour: the median of the slopes between any two
// points (Theil and Sen), which a few high points do not move.
func slope(points []Point, of func(Point) int64) float64 {
	var all []float64
	for i, a := range points {
		for _, b := range points[i+1:] {
			all = append(all, float64(of(b)-of(a))/(b.At-a.At).Hours())
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}
