package store

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// tick is an age in whole seconds on a clock's own scale, which only goes
// forward.
type tick = uint32

const (
	// firstTick leaves room before the first moment told, for records loaded from
	// an earlier run.
	firstTick tick = 1 << 30
	// reorder is how far a moment may lie before the latest one and still be taken
	// for a late caller instead of a clock set back.
	reorder = 60
)

// clock turns the moments callers tell into ticks. Where the times carry Go's
// monotonic reading, setting the wall clock changes nothing. Where they do not, a
// clock set back makes time stand still for that one step and go on from there:
// nothing becomes immortal and nothing expires early (reliability.md P22).
type clock struct {
	// begin returns the tick of the first moment told, by what an earlier run kept, or
	// start; nil: nothing was kept.
	begin func(now time.Time, start uint32) uint32

	latest atomic.Uint32
	origin atomic.Pointer[origin]

	mu sync.Mutex // guards replacing origin
}

// origin ties one moment to one tick.
type origin struct {
	at   time.Time
	tick tick
}

// tick returns now on the clock's scale, never less than before.
func (c *clock) tick(now time.Time) tick {
	o := c.origin.Load()
	if o == nil {
		o = c.start(now)
	}
	t := o.tickOf(now)
	for {
		latest := c.latest.Load()
		if t <= latest {
			if latest-t > reorder {
				c.setBack(now, latest)
			}
			return latest
		}
		if c.latest.CompareAndSwap(latest, t) {
			return t
		}
	}
}

// start makes now the first tick unless another caller was faster.
func (c *clock) start(now time.Time) *origin {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.origin.Load(); o != nil {
		return o
	}
	t := firstTick
	if c.begin != nil {
		t = max(c.begin(now, firstTick), 1)
	}
	c.reach(t)
	o := &origin{at: now, tick: c.latest.Load()}
	c.origin.Store(o)
	return o
}

// setBack lets time go on from latest after the clock was set back to now.
func (c *clock) setBack(now time.Time, latest tick) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.origin.Load().tickOf(now); t < latest && latest-t > reorder {
		c.origin.Store(&origin{at: now, tick: latest})
	}
}

// reach lets time be t at least, for records loaded before anybody told it.
func (c *clock) reach(t tick) {
	for {
		latest := c.latest.Load()
		if t <= latest || c.latest.CompareAndSwap(latest, t) {
			return
		}
	}
}

// resume makes now the tick t, or the latest one reached if that is later.
func (c *clock) resume(now time.Time, t tick) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reach(t)
	c.origin.Store(&origin{at: now, tick: c.latest.Load()})
}

// time returns the moment of t, by what is known of the clock today.
func (c *clock) time(t tick) time.Time {
	o := c.origin.Load()
	return o.at.Add(time.Duration(int64(t)-int64(o.tick)) * time.Second)
}

func (o *origin) tickOf(now time.Time) tick {
	t := int64(o.tick) + int64(now.Sub(o.at)/time.Second)
	return tick(min(max(t, 0), math.MaxUint32))
}

// seconds returns d in whole seconds, rounded up, at most half the scale.
func seconds(d time.Duration) tick {
	s := (int64(d) + int64(time.Second) - 1) / int64(time.Second)
	return tick(min(max(s, 0), math.MaxInt32))
}

// after returns the tick d later than t, without wrapping.
func after(t, d tick) tick {
	if t > math.MaxUint32-d {
		return math.MaxUint32
	}
	return t + d
}
