package pebble

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

// epoch is when the tests begin.
var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// anything takes every value and prefers the new one.
type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

func testKey(i int) []byte { return fmt.Appendf(nil, "/v/%d", i) }

// machine has a clock that can be set, and an uptime that cannot.
type machine struct {
	disk *vfs.MemFS
	wall time.Time
	up   time.Duration
	boot int
}

// run is one life of a program with a store of values on this machine.
func (m *machine) run(tb testing.TB, cfg store.ValuesConfig) *store.ValueStore {
	tb.Helper()
	kv := mustOpen(tb, "/store", Config{FS: m.disk, Uptime: func() (string, time.Duration) {
		return fmt.Sprint("boot ", m.boot), m.up
	}})
	s := store.NewValues(kv, anything{}, cfg)
	if err := s.Load(m.wall); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (m *machine) pass(d time.Duration) { m.wall, m.up = m.wall.Add(d), m.up+d }

// TestClockOverRestarts: records live for their age of time that passed, whatever the
// clock is set to while the program does not run, and however often it starts
// (reliability.md P22).
func TestClockOverRestarts(t *testing.T) {
	const step, ttl = 3 * time.Hour, 48 * time.Hour
	for _, jump := range []time.Duration{
		0, time.Second, -time.Second, time.Minute, -time.Minute, 59 * time.Minute, -59 * time.Minute,
		-2 * time.Hour, 48 * time.Hour, -48 * time.Hour, 30 * 24 * time.Hour, -30 * 24 * time.Hour,
	} {
		for _, reboot := range []bool{false, true} {
			m := machine{disk: vfs.NewMem(), wall: epoch}
			s := m.run(t, store.ValuesConfig{})
			for i := range 10 {
				if err := s.Put(m.wall, protocol.Record{Key: testKey(i), Value: []byte("v")}); err != nil {
					t.Fatal(err)
				}
			}
			var lived time.Duration
			for ; s.Len() > 0 && lived < 2*ttl; lived += step {
				m.pass(step)
				s.Advance(m.wall)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if lived == 5*step {
					m.wall = m.wall.Add(jump)
					if reboot {
						m.boot, m.up = m.boot+1, 0
					}
				}
				s = m.run(t, store.ValuesConfig{})
				s.Advance(m.wall)
			}
			if lived > ttl+time.Hour+step {
				t.Errorf("a jump of %v, reboot %t: records lived %v", jump, reboot, lived)
			}
			if (jump < time.Hour || !reboot) && lived < ttl-time.Hour-step {
				t.Errorf("a jump of %v, reboot %t: records were forgotten after %v", jump, reboot, lived)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSmallerBudget: a store that starts with budgets smaller than what it holds comes
// down to them in bounded steps, and keeps what is nearest.
func TestSmallerBudget(t *testing.T) {
	m := machine{disk: vfs.NewMem(), wall: epoch}
	s := m.run(t, store.ValuesConfig{})
	const n = 1500
	for i := range n {
		if err := s.Put(m.wall, protocol.Record{Key: testKey(i), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = m.run(t, store.ValuesConfig{MaxRecords: 100})
	if s.Len() != n || s.NextDeadline().After(m.wall) {
		t.Errorf("%d records at the start, to be looked at %v after", s.Len(), s.NextDeadline().Sub(m.wall))
	}
	if err := s.Put(m.wall, protocol.Record{Key: testKey(n), Value: []byte("v")}); err == nil {
		t.Error("a store far beyond its budget took a record")
	}
	s.Advance(m.wall)
	if s.Len() != 100 {
		t.Errorf("%d records held, want 100", s.Len())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
