package pebble

import "time"

// moment ties a tick, which only goes forward, to what the clocks of the machine said
// then, so that a later run knows how much time has passed since (reliability.md P22).
type moment struct {
	tick uint32
	wall int64  // seconds since 1970
	up   int64  // seconds the machine had been running
	boot string // names the run of the machine that up is of; empty: not known
}

// momentOf returns what the clocks say now, with the tick it is.
func (kv *KV) momentOf(now time.Time, tick uint32) moment {
	boot, up := kv.uptime()
	return moment{tick: tick, wall: now.Unix(), up: int64(up / time.Second), boot: boot}
}

// since returns the seconds from m to a later moment. Within one run of the machine its
// uptime tells, whatever became of the clock; otherwise the clock, unless it was set
// back.
func (m *moment) since(later moment) int64 {
	if m.boot != "" && m.boot == later.boot && later.up >= m.up {
		return later.up - m.up
	}
	return max(later.wall-m.wall, 0)
}

// Resume returns the tick of now, going on from the last moment told to Tell in this or
// an earlier run; start if there was none.
func (kv *KV) Resume(now time.Time, start uint32) uint32 {
	m := kv.totals.Load().moment
	if m.tick == 0 {
		return start
	}
	passed := m.since(kv.momentOf(now, 0))
	return m.tick + uint32(min(passed, int64(^uint32(0)-m.tick)))
}

// Tell keeps that tick is now, for Resume in a later run.
func (kv *KV) Tell(now time.Time, tick uint32) error {
	m := kv.momentOf(now, tick)
	return kv.change(func(tx *tx) error { return tx.tell(m) })
}

// tell keeps m with the totals.
func (tx *tx) tell(m moment) error {
	tx.open()
	tx.totals.moment = m
	return nil
}
