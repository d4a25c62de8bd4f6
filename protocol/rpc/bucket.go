package rpc

import "time"

// Rate is a token bucket's shape: cost units that flow in per second, and how
// many it holds at most. A PerSecond below zero means no limit.
type Rate struct {
	PerSecond float64
	// Burst, if not above zero, is 10 s worth.
	Burst float64
}

// Unlimited is a Rate that limits nothing.
var Unlimited = Rate{PerSecond: -1}

// limited reports whether r limits anything.
func (r Rate) limited() bool { return r.PerSecond > 0 }

// filled returns r with its Burst set.
func (r Rate) filled() Rate {
	if r.Burst <= 0 && r.limited() {
		r.Burst = 10 * r.PerSecond
	}
	return r
}

// times returns r with both figures multiplied by f.
func (r Rate) times(f float64) Rate {
	return Rate{PerSecond: f * r.PerSecond, Burst: f * r.Burst}
}

// bucket is a token bucket that may fall into debt: its level lies between the
// deepest allowed debt and the burst, and rises with time. It does not know its
// rate, so that one rate serves all peers and may change at any time.
type bucket struct {
	level float64 // units, as of last
	last  int64   // nanoseconds since the limiter's first sight of a clock
	spell
}

// clockSlack is how far a caller's clock reading may lie behind another's that
// was handed in before it: the two goroutines raced. More means that the clock
// was set back.
const clockSlack = int64(time.Second)

// refill brings b up to now. A reading a little behind the last one earns
// nothing; after a clock was set back, b goes on from there at the level it has.
// Either way no moment is credited twice but by setting the clock back.
func (b *bucket) refill(now int64, r Rate) {
	if now >= b.last {
		b.level += float64(now-b.last) / float64(time.Second) * r.PerSecond
		b.last = now
	} else if b.last-now > clockSlack {
		b.last = now
	}
	b.level = min(b.level, r.Burst)
}

// affords reports whether b, refilled, can pay cost with a debt of at most debt
// units. A full bucket affords anything, so that nobody with a request larger
// than the burst waits for ever.
func (b *bucket) affords(cost float64, r Rate, debt float64) bool {
	return b.level-cost >= -debt || b.level >= r.Burst
}

// pause returns how long it takes until b is out of debt.
func (b *bucket) pause(r Rate) time.Duration {
	if b.level >= 0 {
		return 0
	}
	return time.Duration(-b.level / r.PerSecond * float64(time.Second))
}
