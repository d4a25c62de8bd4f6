package routing

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corenetwork "github.com/libp2p/go-libp2p/core/network"
)

// Reachability that comes and goes is not followed; one that stays is, later with
// each change, and soon again after an hour of quiet.
func TestModeIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := newWorld(t).start(Config{Mode: ModeAuto})
		expect := func(when string, want Mode, why string) {
			t.Helper()
			synctest.Wait()
			if s := d.Stats(); s.Mode != want || d.Mode() != want || !strings.Contains(s.Reason, why) {
				t.Errorf("%s: %v (%s), want %v and %q", when, s.Mode, s.Reason, want, why)
			}
		}
		expect("at first", ModeClient, "not known yet")
		for range 100 {
			f.reachable(corenetwork.ReachabilityPublic)
			expect("reachable for a moment", ModeClient, "; reachable from outside, becomes a server if that holds for 15s")
			time.Sleep(14 * time.Second)
			f.reachable(corenetwork.ReachabilityPrivate)
			expect("and no longer", ModeClient, "not reachable from outside")
			time.Sleep(14 * time.Second)
		}
		f.reachable(corenetwork.ReachabilityPublic) // told twice is no break
		time.Sleep(10 * time.Second)
		f.reachable(corenetwork.ReachabilityPublic)
		time.Sleep(5*time.Second + 1)
		expect("told twice", ModeServer, "reachable from outside")
		time.Sleep(2 * time.Hour)
		f.reachable(corenetwork.ReachabilityPrivate)
		time.Sleep(time.Minute)
		expect("not reachable", ModeClient, "not reachable from outside")
		time.Sleep(2 * time.Hour)
		wanted := corenetwork.ReachabilityPublic
		for _, hold := range []time.Duration{15, 30, 60, 120, 240, 480, 600, 600} {
			was := d.Mode()
			f.reachable(wanted)
			time.Sleep(hold*time.Second - 1)
			expect("just before", was, "if that holds for "+(hold*time.Second).String())
			time.Sleep(2 * time.Nanosecond)
			if wanted == corenetwork.ReachabilityPublic {
				expect("public", ModeServer, "reachable from outside")
				wanted = corenetwork.ReachabilityPrivate
			} else {
				expect("private", ModeClient, "not reachable from outside")
				wanted = corenetwork.ReachabilityPublic
			}
		}
		time.Sleep(time.Hour)
		f.reachable(corenetwork.ReachabilityPublic)
		time.Sleep(16 * time.Second)
		expect("after an hour of quiet", ModeServer, "reachable from outside")
		f.reachable(corenetwork.ReachabilityPrivate)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		expect("closed", ModeServer, "reachable from outside") // as it was: nothing happens any more
	})
}

// Without a delay it is followed at once.
func TestModeWithoutDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := newWorld(t).start(Config{Mode: ModeAutoServer, Serving: Serving{ModeDelay: -1}})
		for range 3 {
			for reachability, want := range map[corenetwork.Reachability]Mode{
				corenetwork.ReachabilityPublic: ModeServer, corenetwork.ReachabilityPrivate: ModeClient, corenetwork.ReachabilityUnknown: ModeServer,
			} {
				f.reachable(reachability)
				synctest.Wait()
				if got := d.Mode(); got != want {
					t.Errorf("%v: %v, want %v", reachability, got, want)
				}
			}
		}
	})
}
