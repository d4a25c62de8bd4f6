package measure

import (
	"math"
	"testing"
	"time"
)

// A leak of a megabyte an hour is seen under noise and a spike, and these alone are
// none.
func TestSlope(t *testing.T) {
	for _, leak := range []float64{0, 1e6} {
		var points []Point
		for i := range 45 {
			at := time.Duration(i) * time.Minute
			rss := 40e6 + leak*at.Hours() + 50e3*float64(i*7%3)
			if i == 40 {
				rss += 30e6
			}
			points = append(points, Point{At: at, Lasting: int64(rss)})
		}
		got := slope(points, func(p Point) int64 { return p.Lasting })
		if math.Abs(got-leak) > 1e5 {
			t.Errorf("a leak of %.0f bytes an hour looks like %.0f", leak, got)
		}
	}
	if got := slope(nil, func(p Point) int64 { return p.RSS }); got != 0 {
		t.Errorf("nothing grows by %v", got)
	}
}
