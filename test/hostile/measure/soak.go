package measure

import (
	"context"
	"fmt"
	"time"
)

// Point is one look at the target in a soak.
type Point struct {
	At         time.Duration
	RSS, Heap  int64
	Goroutines int
}

// Soak is a long steady load: what was seen, and what remained when it was over.
type Soak struct {
	Points []Point
	// Slope is the growth of the resident set in bytes an hour, over the second half.
	Slope float64
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
	first, err := b.settled(ctx)
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
			s.Points = append(s.Points, Point{time.Since(began), state.RSS, state.Heap, state.Goroutines})
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
	s.Slope = slope(s.Points[len(s.Points)/2:])
	last, err := b.settled(ctx)
	s.Left = last.Goroutines
	return s, err
}

// settled is the target's state with the fewest goroutines of several looks: one
// in the midst of a request has more.
func (b *Bench) settled(ctx context.Context) (least State, err error) {
	for i := range 12 {
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

// slope is the growth of the resident set, in bytes an hour, by least squares.
func slope(points []Point) float64 {
	var n, sx, sy, sxx, sxy float64
	for _, p := range points {
		x, y := p.At.Hours(), float64(p.RSS)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if d := n*sxx - sx*sx; d != 0 {
		return (n*sxy - sx*sy) / d
	}
	return 0
}
