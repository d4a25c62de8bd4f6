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

// since returns the seconds from m to a later moment. Within one run of the machine its
// uptime tells, whatever became of the clock; otherwise the clock, unless it was set
// back.
func (m *moment) since(wall, up int64, boot string) int64 {
	if boot != "" && boot == m.boot && up >= m.up {
		return up - m.up
	}
	return max(wall-m.wall, 0)
}

// Resume returns the tick of now, going on from the last moment told to Tell in this or
// an earlier run; start if there was none.
func (kv *KV) Resume(now time.Time, start uint32) uint32 {
	m := kv.totals.Load().moment
	if m.tick == 0 {
		return start
	}
	up, boot := kv.uptime()
	passed := m.since(now.Unix(), up, boot)
	return m.tick + uint32(min(passed, int64(^uint32(0)-m.tick)))
}

// Tell keeps that tick is now, for Resume in a later run.
func (kv *KV) Tell(now time.Time, tick uint32) error {
	up, boot := kv.uptime()
	return kv.change(func(tx *tx) error {
		tx.open()
		tx.totals.moment = moment{tick: tick, wall: now.Unix(), up: up, boot: boot}
		return nil
	})
}
