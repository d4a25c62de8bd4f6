package health

import (
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/control"
)

// Whoever is not well says what to do; who is well has nothing to say.
func TestJudge(t *testing.T) {
	well := func() (*control.Status, *control.Throttle, *control.Records) {
		return &control.Status{Mode: "server", Profile: "private", Peers: 3, Uptime: 100}, &control.Throttle{Workers: 4}, &control.Records{Dir: "/d", Disk: &control.Disk{}}
	}
	for _, c := range []struct {
		name, about string
		level       Level
		ill         func(*control.Status, *control.Throttle, *control.Records)
	}{
		{"well", "", OK, func(*control.Status, *control.Throttle, *control.Records) {}},
		{"lonely", "peers", Bad, func(s *control.Status, _ *control.Throttle, _ *control.Records) {
			s.Peers, s.Joining, s.Lonely = 0, true, "nobody\x1b[2J"
		}},
		{"the first of its network", "peers", Warn, func(s *control.Status, _ *control.Throttle, _ *control.Records) {
			s.Peers, s.Lonely, s.Addrs = 0, "nobody", []string{"/ip4/192.0.2.1/tcp/1\x1b"}
		}},
		{"the first of its network, not reachable", "peers", Warn, func(s *control.Status, _ *control.Throttle, _ *control.Records) { s.Peers = 0 }},
		{"just started", "peers", Warn, func(s *control.Status, _ *control.Throttle, _ *control.Records) {
			s.Peers, s.Joining, s.Uptime = 0, true, 3
		}},
		{"client in public", "mode", Warn, func(s *control.Status, _ *control.Throttle, _ *control.Records) {
			s.Mode, s.Profile = "client", "public"
		}},
		{"lonely LAN", "lan", Warn, func(s *control.Status, _ *control.Throttle, _ *control.Records) {
			s.LAN = &control.LAN{Lonely: "nobody here"}
		}},
		{"crowded", "load", Warn, func(_ *control.Status, t *control.Throttle, _ *control.Records) { t.Waiting = 17 }},
		{"one is held back", "", OK, func(_ *control.Status, t *control.Throttle, _ *control.Records) {
			t.Limited = []control.Limited{{Reason: "peer", Wait: 5}}
		}},
		{"all are held back", "limits", Warn, func(_ *control.Status, t *control.Throttle, _ *control.Records) {
			t.Limited = []control.Limited{{Reason: "total", Wait: 5}}
		}},
		{"full disk", "records", Bad, func(_ *control.Status, _ *control.Throttle, r *control.Records) { r.Disk.Refused = "no space" }},
		{"bad disk", "records", Warn, func(_ *control.Status, _ *control.Throttle, r *control.Records) { r.Disk.Lost = 1 }},
	} {
		s, th, r := well()
		c.ill(s, th, r)
		all := Judge(s, th, r)
		if got := Worst(all); got != c.level {
			t.Errorf("%s: %s, want %s: %+v", c.name, got, c.level, all)
		}
		for _, f := range all {
			if (f.Level == OK) != (f.Hint == "") || (f.Level != OK) != (f.About == c.about) || f.Hint != control.Clean(f.Hint) {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
}
