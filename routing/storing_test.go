package routing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	core "github.com/libp2p/go-libp2p/core/routing"
)

// PutValue and Provide return when half of the k nearest hold the record. The others are
// given it although the caller's context has ended by then, and the final report says so.
func TestStoresReturnHalfway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, _ := w.overlay(30, withNumbers(t))
		for name, op := range map[string]func(context.Context) error{
			"put":     func(ctx context.Context) error { return dhts[3].PutValue(ctx, "/v/a", []byte("1")) },
			"provide": func(ctx context.Context) error { return dhts[4].Provide(ctx, testCID(t, "content"), true) },
		} {
			var first Report
			final := make(chan Report, 2)
			ctx, cancel := context.WithCancel(t.Context())
			err := op(WithReport(WithFinalReport(ctx, func(r Report, err error) {
				if err != nil {
					t.Errorf("%s: in the end %v", name, err)
				}
				final <- r
			}), &first))
			cancel()
			if err != nil || !first.Partial || len(first.Holders) < 10 || len(first.Holders) >= 20 {
				t.Errorf("%s returned %v, %+v", name, err, first)
			}
			if last := <-final; last.Partial || len(last.Holders) < 20 || last.Failed.Total() > 0 {
				t.Errorf("%s ended with %+v", name, last)
			}
			synctest.Wait()
			if len(final) > 0 {
				t.Errorf("%s: told of the end twice", name)
			}
			var whole Report
			if err := op(Thorough(WithReport(t.Context(), &whole))); err != nil || whole.Partial || len(whole.Holders) < 20 {
				t.Errorf("%s, all of it: %v, %+v", name, err, whole)
			}
		}
	})
}

// What ends before half of the copies have been made is told in the end all the same: with
// its error, once.
func TestFinalReportOfWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newWorld(t).start(withNumbers(t))
		told := 0
		var last error
		ctx := WithFinalReport(t.Context(), func(_ Report, err error) { told, last = told+1, err })
		if err := d.PutValue(ctx, "/v/a", []byte("1")); !errors.Is(err, ErrNoPeers) || told != 1 || !errors.Is(last, ErrNoPeers) {
			t.Errorf("put alone: %v, told %d times: %v", err, told, last)
		}
		if err := d.PutValue(ctx, "", nil); err == nil || told != 2 || last == nil {
			t.Errorf("put of nothing: %v, told %d times: %v", err, told, last)
		}
		if err := d.Provide(ctx, testCID(t, "x"), false); err != nil || told != 3 || last != nil {
			t.Errorf("provide here: %v, told %d times: %v", err, told, last)
		}
	})
}

// Events that nobody takes hold up a store no longer than its caller waits, and its rest no
// longer than a rest may take.
func TestEventsThatNobodyTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, _ := newWorld(t).overlay(30, withNumbers(t))
		listening, quit := context.WithCancel(t.Context())
		defer quit()
		listening, _ = core.RegisterForQueryEvents(listening)
		final := make(chan time.Duration, 1)
		ctx, cancel := context.WithTimeout(listening, 10*time.Second)
		defer cancel()
		began := time.Now()
		err := dhts[3].PutValue(WithFinalReport(ctx, func(Report, error) { final <- time.Since(began) }), "/v/a", []byte("1"))
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("PutValue took %v: %v", took, err)
		}
		if took := <-final; took > 10*time.Second+restPatience {
			t.Errorf("its end was told after %v", took)
		}
	})
}

// Close lets what goes on after its callers end, but does not wait for the silent.
func TestCloseAndTheRestOfStores(t *testing.T) {
	for _, mute := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			dhts, fakes := w.overlay(30, withNumbers(t))
			w.mu.Lock()
			for i := 20; mute && i < 24; i++ {
				fakes[i].mute = true
			}
			w.mu.Unlock()
			final := make(chan Report, 1)
			if err := dhts[3].PutValue(WithFinalReport(t.Context(), func(r Report, err error) {
				if err != nil {
					t.Errorf("in the end: %v", err)
				}
				final <- r
			}), "/v/a", []byte("1")); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := dhts[3].Close(); err != nil {
				t.Error(err)
			}
			took := time.Since(began)
			if took > 2*time.Second {
				t.Errorf("Close took %v", took)
			}
			if last := <-final; len(last.Holders) < 10 || !mute && len(last.Holders) < 20 {
				t.Errorf("only %d hold what was being stored", len(last.Holders))
			}
		})
	}
}
