package store

import "sync/atomic"

// DefaultMaxPerHour is how many new records one peer gets into a store under
// pressure in an hour (reliability.md P8, P9).
const DefaultMaxPerHour = 1000

// share is what one peer has had of what it may have in a period: a bucket of half
// of that, which is full to begin with and fills up again in that time, so that in
// no period it gets more than all. It is kept as the moment at which it will be full
// again (the generic cell rate algorithm of ATM networks), so that nothing is lost or
// won by rounding. The zero value is a full bucket of any size. Methods may be called
// from any goroutine.
type share struct {
	full atomic.Uint64 // in parts of a tick
}

// parts of a tick, and periods in these.
const (
	parts = 1 << 20
	hour  = 3600 * parts
)

// left reports whether n of most are left at t; below zero there is no bound.
func (s *share) left(t tick, n, most int64, period uint64) bool {
	now := uint64(t) * parts
	return most < 0 || n <= room(most) && max(s.full.Load(), now)+cost(n, most, period) <= now+period
}

// room is what a bucket holds, for a peer that may have so many: one at least.
func room(most int64) int64 { return max(1, most/2) }

// take takes n of most out at t if they are left. With force it takes what there is
// otherwise.
func (s *share) take(t tick, n, most int64, period uint64, force bool) bool {
	for most >= 0 {
		now, full := uint64(t)*parts, s.full.Load()
		if !force && !s.left(t, n, most, period) {
			return false
		}
		if s.full.CompareAndSwap(full, min(max(full, now)+cost(min(n, room(most)), most, period), now+period)) {
			return true
		}
	}
	return true
}

// cost is the time in which n, which a bucket holds, come in.
func cost(n, most int64, period uint64) uint64 { return period / uint64(room(most)) * uint64(n) }
