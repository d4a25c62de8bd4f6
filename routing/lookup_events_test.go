package routing

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// lookupsOf returns the events of the lookups that f's context tells.
func lookupsOf(ctx context.Context, f func(ctx context.Context)) (events []*LookupEvent) {
	ctx, cancel := context.WithCancel(ctx)
	ctx, told := RegisterForLookupEvents(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ev := range told {
			events = append(events, ev)
		}
	}()
	f(ctx)
	cancel()
	<-done
	return events
}

// The events of a lookup tell who was asked, what became of it, and how it ended,
// in the order in which it happened.
func TestLookupEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(5, withNumbers(t))
		seed(t, dhts[1], "/v/e", "1")
		fakes[2].crash()
		events := lookupsOf(t.Context(), func(ctx context.Context) {
			if _, err := dhts[0].GetValue(ctx, "/v/e"); err != nil {
				t.Error(err)
			}
		})
		var waiting, queried, lost []peer.ID
		for i, ev := range events {
			if ev.Node.Peer != dhts[0].ID() || string(ev.Key.Key) != "/v/e" || ev.Key.Kad != KadID(keyspace.KeyOfString("/v/e")) || ev.ID != events[0].ID {
				t.Errorf("event %d is of another lookup: %+v", i, ev)
			}
			switch {
			case ev.Request != nil:
				waiting = append(waiting, ev.Request.Waiting[0].Peer)
			case ev.Response != nil:
				from := ev.Response.Source.Peer
				if !slices.Contains(waiting, from) {
					t.Errorf("event %d: %s was never asked", i, from)
				}
				for _, p := range ev.Response.Queried {
					queried = append(queried, p.Peer)
				}
				for _, p := range ev.Response.Unreachable {
					if lost = append(lost, p.Peer); ev.Response.Cause == "" {
						t.Error("a failure without a cause")
					}
				}
			default:
				if i != len(events)-1 || ev.Terminate.Reason != LookupCompleted || len(ev.Terminate.Closest) != 3 {
					t.Errorf("event %d of %d: %+v", i, len(events), ev.Terminate)
				}
			}
		}
		if len(waiting) != 4 || len(queried) != 3 || len(lost) != 1 || lost[0] != fakes[2].id || len(events) != 9 {
			t.Errorf("%d asked, %d answered, lost %v, in %d events", len(waiting), len(queried), lost, len(events))
		}
		text, err := json.Marshal(events)
		var back []*LookupEvent
		if err != nil || json.Unmarshal(text, &back) != nil || len(back) != len(events) || back[0].Key.Kad != events[0].Key.Kad || back[0].Node.Peer != dhts[0].ID() {
			t.Errorf("as JSON: %v: %.300s", err, text)
		}
		if n := len(dhts[0].observers.byQuery); n != 0 {
			t.Errorf("%d observers are left", n)
		}
	})
}

// Each end has its reason.
func TestLookupsEndForAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(5, withNumbers(t))
		seed(t, dhts[1], "/v/e", "1")
		c := testCID(t, "a")
		for _, i := range []int{0, 1} {
			if err := dhts[i].provideHere(dhts[i].loop.now(), c.Hash()); err != nil {
				t.Fatal(err)
			}
		}
		fakes[4].change(func(f *fake) { f.lag = 50 * time.Millisecond }) // who has nothing is last to answer
		alone, _ := w.start(withNumbers(t))
		for name, c := range map[string]struct {
			by   *DHT
			do   func(ctx context.Context, d *DHT)
			want LookupTerminationReason
		}{
			"completed": {dhts[0], func(ctx context.Context, d *DHT) { _, _ = d.GetClosestPeers(ctx, "x") }, LookupCompleted},
			"stopped":   {dhts[0], func(ctx context.Context, d *DHT) { _, _ = d.GetValue(ctx, "/v/e", Quorum(1)) }, LookupStopped},
			"enough": {dhts[2], func(ctx context.Context, d *DHT) {
				for range d.FindProvidersAsync(ctx, c, 1) {
				}
			}, LookupStopped},
			"enough with our own": {dhts[0], func(ctx context.Context, d *DHT) {
				for range d.FindProvidersAsync(ctx, c, 2) {
				}
			}, LookupStopped},
			"starved": {alone, func(ctx context.Context, d *DHT) { _, _ = d.GetValue(ctx, "/v/e") }, LookupStarvation},
			"cancelled": {dhts[0], func(ctx context.Context, d *DHT) {
				ctx, cancel := context.WithCancel(ctx)
				fakes[1].change(func(f *fake) { f.mute = true })
				time.AfterFunc(time.Millisecond, cancel)
				_, _ = d.GetClosestPeers(ctx, "y")
				fakes[1].change(func(f *fake) { f.mute = false })
			}, LookupCancelled},
		} {
			events := lookupsOf(t.Context(), func(ctx context.Context) { c.do(ctx, c.by) })
			if len(events) == 0 || events[len(events)-1].Terminate == nil || events[len(events)-1].Terminate.Reason != c.want {
				t.Errorf("%s: %d events, the last: %+v", name, len(events), events[max(0, len(events)-1)].Terminate)
			}
		}
	})
}

// Who has registered and receives no more delays an operation until its context ends,
// and no longer.
func TestLookupEventsNobodyReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, _ := newWorld(t).overlay(30, Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ctx, events := RegisterForLookupEvents(ctx)
		start := time.Now()
		if _, _ = dhts[0].GetClosestPeers(ctx, "x"); time.Since(start) != time.Minute {
			t.Errorf("ended after %v", time.Since(start))
		}
		received := 0
		for range events {
			received++
		}
		if received != lookupBuffer {
			t.Errorf("%d events were kept", received)
		}
	})
}

// A peer that a request has to dial is told of before.
func TestDialingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(3, Config{})
		fakes[0].change(func(f *fake) { f.disconnect(fakes[1]) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		ctx, events := core.RegisterForQueryEvents(ctx)
		var dialed []peer.ID
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ev := range events {
				if ev.Type == core.DialingPeer {
					dialed = append(dialed, ev.ID)
				}
			}
		}()
		if _, err := dhts[0].GetClosestPeers(ctx, "x"); err != nil {
			t.Error(err)
		}
		cancel()
		<-done
		if len(dialed) != 1 || dialed[0] != fakes[1].id {
			t.Errorf("dialed %v, want %v alone", dialed, fakes[1].id)
		}
	})
}

// What is under way is told while it is.
func TestDumpQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(5, withNumbers(t))
		fakes[1].change(func(f *fake) { f.mute = true })
		start := time.Now()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = dhts[0].GetValue(t.Context(), "/v/x")
		}()
		time.Sleep(100 * time.Millisecond)
		all := dhts[0].DumpQueries()
		if len(all) != 1 {
			t.Fatalf("%d are under way", len(all))
		}
		if q := all[0]; q.Type != protocol.GetValue || string(q.Key) != "/v/x" || !q.Started.Equal(start) || q.Asked != 4 || q.Answered != 3 || q.Waiting != 1 || q.Heard != 4 || q.Hops != 1 {
			t.Errorf("%+v", q)
		}
		<-ended
		if left := dhts[0].DumpQueries(); len(left) != 0 {
			t.Errorf("when all is over: %+v", left)
		}
		_ = dhts[0].Close()
		if dhts[0].DumpQueries() != nil {
			t.Error("closed, it tells of queries")
		}
	})
}
