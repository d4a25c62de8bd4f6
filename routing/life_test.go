package routing

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol"
	corenetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// silence makes all but the first peer take requests and not answer.
func silence(fakes []*fake) {
	for _, f := range fakes[1:] {
		f.change(func(f *fake) { f.mute = true })
	}
}

func TestDeadlineEndsAnOperationWithWhatWasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(8, withNumbers(t))
		silence(fakes)
		fakes[1].change(func(f *fake) { f.mute = false })
		seed(t, dhts[1], "/v/a", "1")
		if err := dhts[1].Provide(t.Context(), testCID(t, "content"), false); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		began := time.Now()
		var report Report
		ids, err := dhts[0].GetClosestPeers(WithReport(ctx, &report), "x")
		if !errors.Is(err, context.DeadlineExceeded) || len(ids) != 1 || ids[0] != dhts[1].ID() {
			t.Errorf("closest: %v, %v; want the one that answered and the deadline's error", ids, err)
		}
		if report.Answered != 1 || report.Asked != 7 || report.Duration != 700*time.Millisecond {
			t.Errorf("report %+v", report)
		}
		if took := time.Since(began); took != 700*time.Millisecond {
			t.Errorf("took %v, want what the deadline gave", took)
		}
		value, err := dhts[0].GetValue(ctx, "/v/a")
		if !errors.Is(err, context.DeadlineExceeded) || value != nil {
			t.Errorf("get after the deadline: %q, %v", value, err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		value, err = dhts[0].GetValue(ctx, "/v/a")
		if !errors.Is(err, context.DeadlineExceeded) || string(value) != "1" {
			t.Errorf("get: %q, %v; want the value and the deadline's error", value, err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(30*time.Millisecond, cancel) // by now the silent ones are in doubt, and not waited for as long
		found, err := dhts[0].FindProviders(ctx, testCID(t, "content"))
		if !errors.Is(err, context.Canceled) || len(found) != 1 {
			t.Errorf("providers: %v, %v; want one and Canceled", found, err)
		}
	})
}

func TestSilentPeersAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(5, Config{})
		silence(fakes)
		var report Report
		began := time.Now()
		ids, err := dhts[0].GetClosestPeers(WithReport(t.Context(), &report), "x")
		if !errors.Is(err, ErrNoPeers) || len(ids) != 0 || report.Failed.Timeout != 4 {
			t.Errorf("%v, %v, report %+v", ids, err, report)
		}
		if took := time.Since(began); took < time.Second || took > 5*time.Second {
			t.Errorf("took %v, want between 1 s and 5 s", took)
		}
	})
}

func TestCloseEndsOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(6, withNumbers(t))
		silence(fakes)
		d := dhts[0]
		id := w.add().id
		operations := map[string]func() error{
			"closest":   func() error { return second1(d.GetClosestPeers(t.Context(), "x")) },
			"peer":      func() error { return second1(d.FindPeer(t.Context(), id)) },
			"get":       func() error { return second1(d.GetValue(t.Context(), "/v/x")) },
			"put":       func() error { return d.PutValue(t.Context(), "/v/x", nil) },
			"provide":   func() error { return d.Provide(t.Context(), testCID(t, "x"), true) },
			"providers": func() error { return second1(d.FindProviders(t.Context(), testCID(t, "y"))) },
			"refresh":   func() error { return d.Refresh(t.Context()) },
			"refresh 2": func() error { return <-d.RefreshRoutingTable() },
			"ping":      func() error { return d.Ping(t.Context(), dhts[1].ID()) },
		}
		var all sync.WaitGroup
		for name, run := range operations {
			all.Go(func() {
				if err := run(); !errors.Is(err, ErrClosed) {
					t.Errorf("%s: %v, want ErrClosed", name, err)
				}
			})
		}
		values, err := d.SearchValue(t.Context(), "/v/z")
		if err != nil {
			t.Fatal(err)
		}
		providers := d.FindProvidersAsync(t.Context(), testCID(t, "z"), 0)
		time.Sleep(900 * time.Millisecond)
		began := time.Now()
		for range 3 {
			all.Go(func() {
				if err := d.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		}
		all.Wait()
		for range values {
			t.Error("a value after Close")
		}
		for range providers {
			t.Error("a provider after Close")
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("closing took %v", took)
		}
		for name, run := range operations {
			if err := run(); !errors.Is(err, ErrClosed) {
				t.Errorf("%s after Close: %v, want ErrClosed", name, err)
			}
		}
		for _, err := range []error{d.WaitReady(t.Context()), d.Bootstrap(t.Context()), second1(d.SearchValue(t.Context(), "/v/z"))} {
			if err != nil && !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %v, want ErrClosed", err)
			}
		}
		d.Stats()
		if peers, samples := d.NetworkSize(); peers != 0 || samples != 0 {
			t.Errorf("after Close the network has %d peers, by %d samples", peers, samples)
		}
		if d.Buckets() != nil {
			t.Error("buckets after Close")
		}
	})
}

// Who abandons a channel, or does not read the events he asked for, costs
// nobody anything but his own operation's end.
func TestAbandonedConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, _ := w.overlay(6, withNumbers(t))
		for i, d := range dhts {
			seed(t, d, "/v/x", string(rune('1'+i)))
			if err := d.Provide(t.Context(), testCID(t, "x"), true); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithCancel(context.Background())
		for range 3 * maxOperations {
			if _, err := dhts[0].SearchValue(context.Background(), "/v/x"); err != nil {
				t.Fatal(err)
			}
			dhts[0].FindProvidersAsync(context.Background(), testCID(t, "x"), 0)
			events, _ := core.RegisterForQueryEvents(ctx) // nobody reads them
			go func() { _, _ = dhts[0].GetClosestPeers(events, "x") }()
		}
		synctest.Wait()
		if n := dhts[0].Stats().Operations; n != 0 {
			t.Errorf("%d operations hang", n)
		}
		if _, err := dhts[0].GetClosestPeers(t.Context(), "x"); err != nil {
			t.Errorf("the next operation: %v", err)
		}
		if err := dhts[0].Close(); err != nil {
			t.Error(err)
		}
		stop()
	})
}

func TestWaitReadySaysWhy(t *testing.T) {
	type scene struct {
		name string
		peer func(w *world) (Config, *fake) // the configuration, and who else is connected
		want []string
	}
	for _, s := range []scene{
		{
			"unreachable", func(w *world) (Config, *fake) {
				f := w.add()
				f.crash()
				return Config{BootstrapPeers: []peer.AddrInfo{f.info()}}, nil
			},
			[]string{"1 of 1 bootstrap peers unreachable", "connection refused", "check their addresses"},
		},
		{
			"does not speak", func(w *world) (Config, *fake) {
				f := w.add()
				return Config{BootstrapPeers: []peer.AddrInfo{f.info()}}, nil
			},
			[]string{"1 connected, 0 speak /kdht/kad/1.0.0", "protocol prefix"},
		},
		{
			"clients only", func(w *world) (Config, *fake) {
				_, f := w.start(Config{Mode: ModeClient})
				return Config{BootstrapPeers: []peer.AddrInfo{f.info()}}, nil
			},
			[]string{"1 connected, 0 speak /kdht/kad/1.0.0", "clients"},
		},
		{
			"mute", func(w *world) (Config, *fake) {
				_, f := w.start(Config{})
				f.change(func(f *fake) { f.mute = true })
				return Config{BootstrapPeers: []peer.AddrInfo{f.info()}}, nil
			},
			[]string{"1 connected, 1 speak /kdht/kad/1.0.0", "none has answered"},
		},
		{
			"connected to strangers", func(w *world) (Config, *fake) { return Config{}, w.add() },
			[]string{"1 connected, 0 speak /kdht/kad/1.0.0"},
		},
	} {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				cfg, other := s.peer(w)
				f := w.add()
				if other != nil {
					f.change(func(f *fake) { f.connect(other) })
				}
				d, _ := w.startOn(f, cfg)
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				err := d.WaitReady(ctx)
				if !errors.Is(err, ErrNoPeers) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v: want ErrNoPeers and the context's error", err)
				}
				for _, part := range s.want {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("%v: does not say %q", err, part)
					}
				}
			})
		})
	}
}

// A bootstrap peer that comes up late is found.
func TestWaitReadyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, f := w.start(Config{})
		f.crash()
		d, _ := w.start(Config{BootstrapPeers: []peer.AddrInfo{f.info()}})
		time.AfterFunc(10*time.Minute, f.revive)
		began := time.Now()
		if err := d.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 10*time.Minute || took > 12*time.Minute {
			t.Errorf("ready after %v, want soon after 10 min", took)
		}
	})
}

// One that was connected to, and then took long to answer, is asked again.
func TestConnectedBootstrapPeerIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, f := w.start(Config{})
		f.change(func(f *fake) { f.mute = true })
		d, own := w.start(Config{BootstrapPeers: []peer.AddrInfo{f.info()}})
		time.Sleep(time.Minute)
		if !own.Connected(f.id) || d.Stats().Table != 0 {
			t.Fatal("the scene is not set")
		}
		f.change(func(f *fake) { f.mute = false })
		began := time.Now()
		if err := d.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > requestTimeout+offerPeriod {
			t.Errorf("ready after %v", took)
		}
	})
}

// Members that join at the same instant find all others by themselves.
func TestSimultaneousJoiners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, f := w.start(Config{})
		f.change(func(f *fake) { f.lag = time.Millisecond })
		dhts := []*DHT{first}
		for range 14 {
			d, f := w.start(Config{BootstrapPeers: []peer.AddrInfo{f.info()}})
			f.change(func(f *fake) { f.lag = 500 * time.Millisecond }) // so it is verified late
			dhts = append(dhts, d)
		}
		time.Sleep(10 * time.Second)
		for i, d := range dhts {
			if n := d.Stats().Table; n != 14 {
				t.Errorf("node %d knows %d peers, want 14", i, n)
			}
		}
	})
}

func TestTableAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(6, Config{})
		for _, f := range fakes {
			f.change(func(f *fake) { f.mute = true }) // connections stay, nothing passes
		}
		time.Sleep(2 * time.Hour)
		if ids, err := dhts[0].GetClosestPeers(t.Context(), "x"); len(ids) != 0 {
			t.Errorf("during the outage: %v, %v", ids, err)
		}
		for _, f := range fakes {
			f.change(func(f *fake) { f.mute = false })
		}
		time.Sleep(15 * time.Minute)
		for i, d := range dhts {
			if n := d.Stats().Table; n != 5 {
				t.Errorf("node %d has %d members after the outage, want 5", i, n)
			}
			if ids, err := d.GetClosestPeers(t.Context(), "x"); err != nil || len(ids) != 5 {
				t.Errorf("node %d, after the outage: %v, %v", i, ids, err)
			}
		}
	})
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		mode                              Mode
		unknown, public, private, public2 Mode
	}{
		{ModeServer, ModeServer, ModeServer, ModeServer, ModeServer},
		{ModeClient, ModeClient, ModeClient, ModeClient, ModeClient},
		{ModeAuto, ModeClient, ModeServer, ModeClient, ModeServer},
		{ModeAutoServer, ModeServer, ModeServer, ModeClient, ModeServer},
	} {
		t.Run(c.mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				d, f := w.start(Config{Mode: c.mode})
				other, _ := w.start(Config{BootstrapPeers: []peer.AddrInfo{f.info()}})
				check := func(when string, want Mode) {
					time.Sleep(2 * time.Minute) // longer than a role is held after three changes
					m, reason := d.role.now()
					serves := other.Ping(t.Context(), d.ID()) == nil
					if m != want || d.Mode() != want || serves != (want == ModeServer) || reason == "" {
						t.Errorf("%s: %v (%s), serves: %v; want %v", when, m, reason, serves, want)
					}
					members := 0
					if want == ModeServer {
						members = 1
					}
					if n := other.Stats().Table; n != members {
						t.Errorf("%s: in %d tables, want %d", when, n, members)
					}
				}
				check("at first", c.unknown)
				f.reachable(corenetwork.ReachabilityPublic)
				check("reachable", c.public)
				f.reachable(corenetwork.ReachabilityPrivate)
				check("not reachable", c.private)
				f.reachable(corenetwork.ReachabilityPublic)
				check("reachable again", c.public2)
			})
		})
	}
}

func TestClientUsesTheOverlay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(5, withNumbers(t))
		cfg := withNumbers(t)
		cfg.Mode, cfg.BootstrapPeers = ModeClient, []peer.AddrInfo{fakes[0].info()}
		client, _ := w.start(cfg)
		if err := client.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := client.PutValue(t.Context(), "/v/c", []byte("1")); err != nil {
			t.Fatal(err)
		}
		if value, err := dhts[4].GetValue(t.Context(), "/v/c"); err != nil || string(value) != "1" {
			t.Errorf("%q, %v", value, err)
		}
		time.Sleep(time.Hour)
		for i, d := range dhts {
			if d.loop.node.View().Contains(client.ID()) {
				t.Errorf("node %d has the client in its table", i)
			}
		}
	})
}

func TestLoopKeepsOrderAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newWorld(t).start(Config{})
		var got []int
		for i := range 3 * mailboxSize {
			if err := d.loop.post(func(time.Time) { got = append(got, i) }); err != nil {
				t.Fatal(err)
			}
		}
		n, err := ask(d.loop, func(time.Time) int { return len(got) })
		if err != nil || n != 3*mailboxSize {
			t.Errorf("%d of %d ran, %v", n, 3*mailboxSize, err)
		}
		for i, v := range got {
			if i != v {
				t.Fatalf("%d ran as number %d", v, i)
			}
		}
		// Posters that are blocked by a full mailbox are let go by Close.
		release := make(chan struct{})
		_ = d.loop.post(func(time.Time) { <-release })
		var posters sync.WaitGroup
		for range 2 * mailboxSize {
			posters.Go(func() { _ = d.loop.post(func(time.Time) {}) })
		}
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- d.Close() }()
		posters.Wait()
		close(release)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := d.loop.post(func(time.Time) { t.Error("ran after Close") }); !errors.Is(err, ErrClosed) {
			t.Errorf("post after Close: %v", err)
		}
	})
}

func TestQueryEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(5, withNumbers(t))
		seed(t, dhts[1], "/v/e", "1")
		fakes[2].crash()
		ctx, cancel := context.WithCancel(t.Context())
		ctx, events := core.RegisterForQueryEvents(ctx)
		counts := make(map[core.QueryEventType]int)
		counted := make(chan struct{})
		go func() {
			defer close(counted)
			for ev := range events {
				counts[ev.Type]++
				if ev.ID == "" {
					t.Errorf("event without peer: %+v", ev)
				}
			}
		}()
		if _, err := dhts[0].GetValue(ctx, "/v/e"); err != nil {
			t.Error(err)
		}
		cancel()
		<-counted
		if counts[core.SendingQuery] != 4 || counts[core.PeerResponse] != 3 || counts[core.QueryError] != 1 || counts[core.Value] != 1 {
			t.Errorf("events by type: %v", counts)
		}
		if n := len(dhts[0].observers.byQuery); n != 0 {
			t.Errorf("%d observers are left", n)
		}
	})
}

func TestRequestsOfOthersAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var mu sync.Mutex
		var seen []protocol.Type
		_, f := w.start(Config{Serving: Serving{OnRequest: func(_ protocol.Remote, req *protocol.Message) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, req.Type)
		}}})
		other, _ := w.start(Config{BootstrapPeers: []peer.AddrInfo{f.info()}})
		if err := other.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(seen) == 0 || seen[0] != protocol.FindNode {
			t.Errorf("requests seen: %v", seen)
		}
	})
}
