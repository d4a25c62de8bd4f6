package dashboard

import (
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/kademlia"
)

// Rates are over the last five ticks, latencies over the last minute, and what is kept is
// bounded however long it goes on.
func TestTrafficRates(t *testing.T) {
	var tr traffic
	var s routing.Stats
	var l routing.Latencies
	at := time.Unix(1000, 0)
	for i := range 2 * maxPoints {
		if i >= 2*maxPoints-6 {
			s.Server.Types[protocol.FindNode].Served += 20
			s.Server.Types[protocol.FindNode].Limited += 2
			s.Client.Types[protocol.GetValue].OK += 3
			s.Client.Types[protocol.GetValue].Timeout++
			l.In[protocol.FindNode].Steps[10] += 19
			l.In[protocol.FindNode].Steps[20]++
		}
		tr.add(read(at, &s, l))
		tr.mark(point{})
		at = at.Add(tick)
	}
	if len(tr.readings) != window || len(tr.points) != maxPoints {
		t.Errorf("%d readings, %d points", len(tr.readings), len(tr.points))
	}
	v := tr.view(&s)
	in, out := v.In[protocol.FindNode], v.Out[protocol.GetValue]
	if in.Rate != 11 || in.Bad != 1 || in.Total != 132 || in.Causes["over a limit"] != 12 || len(in.Causes) != 1 {
		t.Errorf("in: %+v", in)
	}
	if out.Rate != 2 || out.Bad != 0.5 || out.Causes["no answer in time"] != 6 || out.P95 != 0 {
		t.Errorf("out: %+v", out)
	}
	low, high := routing.LatencyBounds[9].Seconds()*1e3, routing.LatencyBounds[10].Seconds()*1e3
	if in.P50 < low || in.P50 > high || in.P95 > high+0.01 || in.P95 < in.P50 {
		t.Errorf("half took %v, nearly all %v; want within %v and %v", in.P50, in.P95, low, high)
	}
	if all, bad := tr.lately(); all != 24 || bad != 6 {
		t.Errorf("lately %d, %d in vain", all, bad)
	}
	tr.add(read(at.Add(time.Hour), &s, l))
	if in, _, _ := tr.rates(); len(tr.readings) != 1 || in != 0 {
		t.Error("rates are taken over an hour in which nobody looked")
	}
}

// Each thing that can be wrong has its hint, in plain words; and if nothing is, that is said.
func TestHints(t *testing.T) {
	fine := func() *facts {
		return &facts{
			now: time.Unix(1e6, 0), status: &control.Status{Mode: "server", Peers: 30}, stats: &routing.Stats{}, size: 50,
			terms: Terms{Refresh: 600_000},
		}
	}
	for want, spoil := range map[string]func(*facts){
		"ok All is well": func(*facts) {},
		"bad Nobody is known": func(f *facts) {
			f.status.Peers, f.status.Joining, f.status.Lonely, f.status.Uptime = 0, true, "12 connected, 0 speak it", 60
		},
		"warn Nobody is known yet":   func(f *facts) { f.status.Peers, f.status.Joining, f.status.Uptime = 0, true, 3 },
		"warn Alone":                 func(f *facts) { f.status.Peers = 0 },
		"note A small network":       func(f *facts) { f.status.Peers, f.size = 1, 1 },
		"note This node is a client": func(f *facts) { f.status.Mode = "client" },
		"warn Many requests fail":    func(f *facts) { f.asked, f.failed = 30, 10 },
		"warn Requests are refused":  func(f *facts) { f.refused = 4 },
		"bad No values are taken":    func(f *facts) { f.disk = &control.Disk{Refused: "no space"} },
		"warn Files were damaged":    func(f *facts) { f.disk = &control.Disk{Lost: 1} },
		"warn All workers are busy":  func(f *facts) { f.stats.Load.Workers, f.stats.Load.Busy, f.stats.Load.Waiting = 2, 2, 9 },
		"warn Streams run short":     func(f *facts) { f.stats.Inbound.Pressed = true },
		"warn Many peers have fallen silent": func(f *facts) {
			f.buckets = []kademlia.BucketInfo{{Peers: []kademlia.EntryInfo{{Doubted: true}, {Doubted: true}, {Doubted: true}, {}}}}
		},
		"note Parts of the table are old": func(f *facts) {
			f.buckets = []kademlia.BucketInfo{{Room: 20, Refreshed: f.now.Add(-2 * time.Hour)}}
		},
	} {
		f := fine()
		spoil(f)
		all := hints(f)
		found := false
		for i, h := range all {
			found = found || string(h.Level)+" "+h.Title == want
			if i > 0 && h.Level == Bad && all[i-1].Level != Bad {
				t.Errorf("%s: the worst is not first", want)
			}
			if !strings.HasSuffix(h.Text, ".") || strings.Contains(h.Text, "\n") {
				t.Errorf("%q is no sentence in one line", h.Text)
			}
		}
		if !found || (all[0].Level == Fine) != (strings.HasPrefix(want, "ok") || strings.HasPrefix(want, "note")) {
			t.Errorf("%s: got %+v", want, all)
		}
	}
}
