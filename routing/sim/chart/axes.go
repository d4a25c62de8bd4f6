package chart

import (
	"math"
	"strconv"
)

// extreme bounds what can be drawn: beyond it (and, on a logarithmic axis, closer
// to zero than its inverse) numbers say nothing on paper.
const extreme = 1e15

// drawable reports whether v has a place on the axis.
func (a *Axis) drawable(v float64) bool {
	switch a.Scale {
	case Share:
		return v >= 0 && v <= 1
	case Log:
		return v >= 1/extreme && v <= extreme
	default:
		return math.Abs(v) <= extreme // not NaN
	}
}

// span is the range of an axis, with the values that are marked.
//
// Invariant: lo < hi, and 0 < lo if it is logarithmic.
type span struct {
	lo, hi float64
	log    bool
	ticks  []float64
}

// at returns how far along the axis v lies, from 0 to 1.
func (s *span) at(v float64) float64 {
	if s.log {
		return math.Log(v/s.lo) / math.Log(s.hi/s.lo)
	}
	return (v - s.lo) / (s.hi - s.lo)
}

// across returns the span of a horizontal axis: it ends where the points do.
func (a *Axis) across(lo, hi float64, bars bool) (s span) {
	switch {
	case bars:
		return span{lo: lo - 0.5, hi: hi + 0.5, ticks: multiples(lo, hi, step(math.Max(hi-lo, 10), 10))}
	case a.Scale == Log:
		return logarithmic(lo, hi)
	}
	s = span{lo: math.Min(lo, 0), hi: math.Max(hi, 0)}
	if s.hi-s.lo < 1/extreme {
		s.hi = 1
	}
	s.ticks = multiples(s.lo, s.hi, step(s.hi-s.lo, 8))
	return s
}

// up returns the span of a vertical axis: it ends at a mark.
func (a *Axis) up(lo, hi float64, bars bool) span {
	switch {
	case a.Scale == Log && !bars:
		return logarithmic(lo, hi)
	case a.Scale == Share && !bars:
		lo = 1 - step(math.Max(1-lo, 0.02), 1)
		return span{lo: lo, hi: 1, ticks: multiples(lo, 1, step(1-lo, 5))}
	}
	lo, hi = math.Min(lo, 0), math.Max(hi, 0)
	if hi-lo < 1/extreme {
		hi = 1
	}
	by := step(hi-lo, 5)
	lo, hi = math.Floor(lo/by)*by, math.Ceil(hi/by-1e-9)*by
	return span{lo: lo, hi: hi, ticks: multiples(lo, hi, by)}
}

// logarithmic leaves a little room on either side.
func logarithmic(lo, hi float64) span {
	room := math.Max(math.Pow(hi/lo, 0.04), 1.02)
	s := span{lo: lo / room, hi: hi * room, log: true}
	within := func(v float64) {
		if v >= s.lo && v <= s.hi {
			s.ticks = append(s.ticks, v)
		}
	}
	decades := math.Log10(s.hi / s.lo)
	every := int(decades/8) + 1
	for e := int(math.Floor(math.Log10(s.lo)/float64(every))) * every; math.Pow10(e) <= s.hi; e += every {
		within(math.Pow10(e))
		if decades < 3 {
			within(2 * math.Pow10(e))
			within(5 * math.Pow10(e))
		}
	}
	if len(s.ticks) < 3 {
		s.ticks = multiples(s.lo, s.hi, step(s.hi-s.lo, 5))
	}
	return s
}

// step returns the smallest of 1, 2 and 5 times a power of ten of which most fill
// the width.
func step(width float64, most int) float64 {
	least := width / float64(most)
	ten := math.Pow10(int(math.Floor(math.Log10(least))))
	for _, by := range []float64{1, 2, 5} {
		if by*ten >= least*(1-1e-9) {
			return by * ten
		}
	}
	return 10 * ten
}

// multiples returns the multiples of by from lo to hi, of too many the first.
func multiples(lo, hi, by float64) (all []float64) {
	slack := by * 1e-6
	first := math.Ceil((lo - slack) / by)
	for i := range 16 {
		v := (first + float64(i)) * by
		if v > hi+slack {
			break
		}
		all = append(all, v)
	}
	return all
}

// label writes the value of a mark.
func (a *Axis) label(v float64) string {
	if a.Scale == Share {
		return number(100*v) + " %"
	}
	return number(v)
}

// number writes v short: 0.25, 950, 1.5k, 2M.
func number(v float64) string {
	unit := ""
	switch size := math.Abs(v); {
	case size >= 1e9:
		v, unit = v/1e9, "G"
	case size >= 1e6:
		v, unit = v/1e6, "M"
	case size >= 1e3:
		v, unit = v/1e3, "k"
	}
	s := strconv.FormatFloat(v, 'g', 5, 64)
	v, _ = strconv.ParseFloat(s, 64) // what has just been written
	if size := math.Abs(v); size >= 1e-4 && size < 1e6 || v == 0 {
		s = strconv.FormatFloat(v+0, 'f', -1, 64)
	}
	return s + unit
}
