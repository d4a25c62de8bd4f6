package providerlog

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// machine is what a test says of the machine's clocks: the wall clock is off by
// jump, up is how long the machine has been up since boot.
type machine struct {
	real time.Duration // since epoch
	jump time.Duration
	boot int
	up   time.Duration
}

func (m *machine) wall() time.Time { return epoch.Add(m.real + m.jump) }

func (m *machine) pass(d time.Duration) {
	m.real += d
	m.up += d
}

// TestClockOverRestarts sets the wall clock while the program is not running, with
// the machine rebooted or not: records that are announced in time stay, and none
// outlives its validity by more than an hour of the time that the program runs
// (reliability.md P22).
func TestClockOverRestarts(t *testing.T) {
	const ttl = 48 * time.Hour
	for _, jump := range []time.Duration{
		0, time.Second, -time.Second, time.Minute, -time.Minute, 59 * time.Minute, -59 * time.Minute, 2 * time.Hour, -2 * time.Hour,
		26 * time.Hour, -26 * time.Hour, 30 * 24 * time.Hour, -30 * 24 * time.Hour,
	} {
		for _, reboot := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v,reboot=%t", jump, reboot), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { clockOverRestart(t, ttl, jump, reboot) })
			})
		}
	}
}

func clockOverRestart(t *testing.T, ttl, jump time.Duration, reboot bool) {
	d, m := newMemDisk(), &machine{}
	cfg := Config{Uptime: func() (string, time.Duration) { return fmt.Sprint("boot ", m.boot), m.up }}
	s := opened(t, d, cfg)
	announce(t, s, m.wall(), 1, 1)
	m.pass(20 * time.Hour)
	s.Advance(m.wall())
	announce(t, s, m.wall(), 2, 1)
	m.pass(time.Hour)
	s.Advance(m.wall())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m.jump += jump
	if reboot {
		m.boot, m.up = 1, 0
	}
	m.pass(time.Minute)
	s = opened(t, d, cfg)
	defer s.Close() //nolint:errcheck // memory
	s.Advance(m.wall())
	// Without a reboot the machine knows better than its clock. After one it counts
	// a clock set ahead for a day at most.
	if told, _ := tells(t, s, m.wall(), 1, 1); !told && !(reboot && jump > time.Hour) {
		t.Error("a record of 21 hours is gone at once")
	}
	if told, _ := tells(t, s, m.wall(), 2, 1); !told {
		t.Error("a record of one hour is gone at once")
	}
	var lived time.Duration
	for s.Len() > 0 && lived < 2*ttl {
		m.pass(10 * time.Minute)
		lived += 10 * time.Minute
		s.Advance(m.wall())
	}
	if lived > ttl+time.Hour {
		t.Errorf("a record of one hour lived %v more", lived)
	}
	if lived < ttl-2*time.Hour && !(reboot && jump > time.Hour) {
		t.Errorf("a record of one hour lived only %v more", lived)
	}
}

// TestElapsed is about the time between two runs alone.
func TestElapsed(t *testing.T) {
	m := mark{tick: 5, wall: epoch.UnixNano(), up: int64(time.Hour), boot: "a"}
	for _, c := range []struct {
		wall time.Duration
		boot string
		up   time.Duration
		want uint32
	}{
		{time.Minute, "", 0, 60},
		{-time.Minute, "", 0, 0},
		{1000 * time.Hour, "", 0, 3600},
		{1000 * time.Hour, "a", time.Hour + 90*time.Second, 90},
		{-1000 * time.Hour, "a", 1001 * time.Hour, 1000 * 3600},
		{time.Minute, "a", time.Minute, 60}, // its uptime went back: another machine by the same name
		{time.Minute, "b", 5 * time.Hour, 60},
	} {
		if got := m.elapsed(epoch.Add(c.wall), c.boot, c.up, 3600); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestSystemUptime: where the system tells, it tells the same boot each time.
func TestSystemUptime(t *testing.T) {
	boot, up := SystemUptime()
	again, later := SystemUptime()
	if boot != again || later < up || len(boot) > maxBoot || runtime.GOOS == "linux" && (boot == "" || up == 0) {
		t.Errorf("%q up %v, then %q up %v", boot, up, again, later)
	}
}
