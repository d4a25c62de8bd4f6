package pebble

import (
	"time"
)

// Moment ties a tick, which only goes forward, to what the clocks of the machine said
// then, so that a later run knows how much time has passed since (reliability.md P22).
type Moment struct {
	Tick uint32
	Wall int64  // seconds since 1970
	Up   int64  // seconds the machine had been running
	Boot string // names the run of the machine that Up is of; empty: not known
}

// since returns the seconds from m to a later moment. Within one run of the machine its
// uptime tells, whatever became of the clock; otherwise the clock, unless it was set
// back.
func (m *Moment) since(wall, up int64, boot string) int64 {
	if boot != "" && boot == m.Boot && up >= m.Up {
		return up - m.Up
	}
	return max(wall-m.Wall, 0)
}

// Resume returns the tick of now, going on from the last moment told to Tell in this or
// an earlier run; start if there was none.
func (kv *KV) Resume(now time.Time, start uint32) uint32 {
	m := kv.totals.Load().moment
	if m.Tick == 0 {
		return start
	}
	up, boot := kv.uptime()
	passed := m.since(now.Unix(), up, boot)
	return m.Tick + uint32(min(passed, int64(^uint32(0)-m.Tick)))
}

// Tell keeps that tick is now, for Resume in a later run.
func (kv *KV) Tell(now time.Time, tick uint32) error {
	up, boot := kv.uptime()
	return kv.change(func(tx *tx) error {
		tx.open()
		tx.totals.moment = Moment{Tick: tick, Wall: now.Unix(), Up: up, Boot: boot}
		return nil
	})
}
