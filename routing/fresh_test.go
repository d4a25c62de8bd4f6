package routing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// got is what one GetValue has come to.
type got struct {
	value  string
	err    error
	took   time.Duration
	report Report
}

// together has d get the value of key under each context at the same moment.
func together(d *DHT, key string, all ...context.Context) []got {
	results, begun := make([]got, len(all)), time.Now()
	done := make(chan struct{})
	for i, ctx := range all {
		go func() {
			r := &results[i]
			value, err := d.GetValue(WithReport(ctx, &r.report), key)
			r.value, r.err, r.took = string(value), err, time.Since(begun)
			done <- struct{}{}
		}()
		synctest.Wait()
	}
	for range all {
		<-done
	}
	return results
}

// Many who want the same value at the same moment ask for it once. One of them that does
// not wait for the end takes nothing from the others; who wants it afresh, or is to be told
// each step, asks for itself.
func TestSharedLookupsOverTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(12, withNumbers(t))
		seed(t, dhts[3], "/v/a", "1")
		for _, f := range fakes {
			f.change(func(f *fake) { f.lag = 100 * time.Millisecond })
		}
		d := dhts[5]
		w.requests(protocol.GetValue)
		hasty, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		all := together(d, "/v/a", hasty, t.Context(), t.Context(), t.Context())
		if first := all[0]; !errors.Is(first.err, context.DeadlineExceeded) || first.took != 50*time.Millisecond {
			t.Errorf("who does not wait: %+v", first)
		}
		for _, r := range all[1:] {
			if r.err != nil || r.value != "1" || !r.report.Joined || r.report.Asked != 11 {
				t.Errorf("who waits: %+v", r)
			}
		}
		if n := len(w.requests(protocol.GetValue)); n != 11 || d.Stats().Cache.Joined != 3 {
			t.Errorf("%d requests for four callers among 11 others, %+v", n, d.Stats().Cache)
		}
		within, stop := context.WithCancel(t.Context())
		defer stop()
		observed, events := core.RegisterForQueryEvents(within)
		go func() {
			for range events {
			}
		}()
		for _, r := range together(d, "/v/a", WithoutCache(t.Context()), WithoutCache(t.Context()), observed) {
			if r.err != nil || r.value != "1" || r.report.Joined {
				t.Errorf("by itself: %+v", r)
			}
		}
		if n := len(w.requests(protocol.GetValue)); n != 33 {
			t.Errorf("%d requests of three callers that ask for themselves", n)
		}
	})
}

// What was not there is not looked for again for seconds, unless it is wanted afresh or
// the cache is off.
func TestMissingOverTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(12, withNumbers(t))
		look := func(ctx context.Context, d *DHT, want int) {
			t.Helper()
			w.requests(protocol.GetValue)
			r := together(d, "/v/none", ctx)[0]
			if n := len(w.requests(protocol.GetValue)); !errors.Is(r.err, ErrNotFound) || n != want || r.report.Recalled != (want == 0) {
				t.Errorf("%d requests, want %d: %+v", n, want, r)
			}
		}
		d := dhts[5]
		look(t.Context(), d, 11)
		look(t.Context(), d, 0)
		look(WithoutCache(t.Context()), d, 11)
		time.Sleep(5 * time.Second)
		look(t.Context(), d, 11)
		seed(t, d, "/v/none", "2") // by whatever way it comes here
		if r := together(d, "/v/none", t.Context())[0]; r.value != "2" {
			t.Errorf("what has come to us is not found: %+v", r)
		}
		off := withNumbers(t)
		off.Timing.Cache, off.BootstrapPeers = -1, []peer.AddrInfo{fakes[0].info()}
		plain, _ := w.start(off)
		if err := errors.Join(plain.WaitReady(t.Context()), plain.Refresh(t.Context())); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w.requests(protocol.GetValue)
			r := together(plain, "/v/other", t.Context())[0]
			if n := len(w.requests(protocol.GetValue)); !errors.Is(r.err, ErrNotFound) || n != 12 {
				t.Errorf("%d requests without a cache, want 12: %+v", n, r)
			}
		}
	})
}
