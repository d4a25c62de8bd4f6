package routing

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/multiformats/go-multihash"
)

// StopProviding while Provide is still announcing has the last word.
func TestStopProvidingDuringProvide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(4, Config{})
		for _, f := range fakes {
			f.change(func(f *fake) { f.lag = 100 * time.Millisecond })
		}
		d, c := dhts[0], testCID(t, "content")
		ended := make(chan error, 1)
		go func() { ended <- d.Provide(t.Context(), c, true) }()
		time.Sleep(time.Millisecond)
		select {
		case err := <-ended:
			t.Fatalf("Provide took no time: %v", err)
		default:
		}
		if err := d.StopProviding(c); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if s := d.Stats().Stored; s.Providing != 0 || s.Providers != 0 {
			t.Errorf("after StopProviding %d keys are kept announced, our own store holds %d", s.Providing, s.Providers)
		}
	})
}

// What Replace and Clear take away is not told to those who ask us either; what is provided
// without being announced is.
func TestReplaceForgetsOurRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d, _ := w.start(Config{})
		all := []multihash.Multihash{testCID(t, "a").Hash(), testCID(t, "b").Hash(), testCID(t, "c").Hash()}
		if err := d.Provide(t.Context(), testCID(t, "a"), false); err != nil {
			t.Fatal(err)
		}
		if err := d.Provider().StartProviding(false, all...); err != nil {
			t.Fatal(err)
		}
		if _, removed, err := d.Provider().Replace(slices.Values(all[2:])); removed != 2 || err != nil {
			t.Fatalf("%d removed, %v", removed, err)
		}
		for name, want := range map[string]int{"a": 1, "b": 0, "c": 1} {
			if found, _ := d.FindProviders(t.Context(), testCID(t, name)); len(found) != want {
				t.Errorf("after Replace we know %d providers of %s, want %d", len(found), name, want)
			}
		}
		if n := d.Provider().Clear(); n != 1 || d.Stats().Stored.Providers != 1 {
			t.Errorf("Clear took away %d, our own store holds %d", n, d.Stats().Stored.Providers)
		}
	})
}

// A node that keeps nothing announced says so, and still tells those who ask it what it
// provides.
func TestProvidingWithoutReprovide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, _ := w.overlay(4, Config{Timing: kademlia.Timing{Reprovide: -1}})
		d, c := dhts[0], testCID(t, "content")
		if err := d.Provider().StartProviding(false, c.Hash()); err == nil || !strings.Contains(err.Error(), "Timing.Reprovide") {
			t.Errorf("StartProviding: %v", err)
		}
		if _, _, err := d.Provider().Replace(slices.Values([]multihash.Multihash{c.Hash()})); err == nil {
			t.Error("Replace said nothing")
		}
		if err := d.Provide(t.Context(), c, true); err != nil {
			t.Fatal(err)
		}
		w.requests(0)
		time.Sleep(100 * time.Hour)
		if n := len(w.requests(protocol.AddProvider)); n > 0 {
			t.Errorf("%d announcements", n)
		}
		if n := d.Stats().Stored.Providers; n != 1 {
			t.Errorf("after 100 hours our own store holds %d records", n)
		}
		if err := d.StopProviding(c); err != nil || d.Stats().Stored.Providers != 0 {
			t.Errorf("after StopProviding: %v, %d records", err, d.Stats().Stored.Providers)
		}
	})
}
