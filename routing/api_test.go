package routing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

// inlined returns a CID that holds its content.
func inlined(t testing.TB, content string) cid.Cid {
	t.Helper()
	sum, err := multihash.Sum([]byte(content), multihash.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, sum)
}

// Ourselves and who is connected are found even where no address is known.
func TestFindPeerWithoutAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hide := Filters{Addresses: func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return nil }}
		alone, _ := w.start(Config{Filters: hide})
		if info, err := alone.FindPeer(t.Context(), alone.ID()); err != nil || info.ID != alone.ID() || len(info.Addrs) != 0 {
			t.Errorf("ourselves: %v, %v", info, err)
		}
		dhts, fakes := w.overlay(4, Config{})
		stranger := w.add()
		fakes[0].change(func(f *fake) {
			f.connect(stranger)
			delete(f.addrs, stranger.id)
		})
		synctest.Wait()
		if info, err := dhts[0].FindPeer(t.Context(), stranger.id); err != nil || info.ID != stranger.id || len(info.Addrs) != 0 {
			t.Errorf("connected: %v, %v", info, err)
		}
		if _, err := dhts[1].FindPeer(t.Context(), stranger.id); err != ErrNotFound {
			t.Errorf("not connected: %v, want ErrNotFound", err)
		}
	})
}

// The channel is closed when count are found, even if our own store gave some and
// others do not answer.
func TestFindProvidersAsyncEndsWithCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(6, Config{Alpha: 1})
		c := testCID(t, "content")
		for _, d := range dhts[1:3] {
			if err := d.Provide(t.Context(), c, true); err != nil {
				t.Fatal(err)
			}
		}
		d, _ := w.start(Config{BootstrapPeers: []peer.AddrInfo{fakes[0].info()}})
		if err := d.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.Provide(t.Context(), c, false); err != nil {
			t.Fatal(err)
		}
		for i, other := range fakes {
			if i > 0 {
				other.change(func(f *fake) { f.mute = true })
			}
		}
		began, found := time.Now(), make(map[peer.ID]bool)
		for p := range d.FindProvidersAsync(t.Context(), c, 3) {
			found[p.ID] = true
		}
		if took := time.Since(began); len(found) != 3 || took > time.Second {
			t.Errorf("found %d in %v, want 3 at once", len(found), took)
		}
	})
}

// An operation that waits for an observer who reads no more ends with the DHT.
func TestCloseEndsTheLastEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, _ := newWorld(t).overlay(25, Config{})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		ctx, events := core.RegisterForQueryEvents(ctx)
		go func() {
			for ev := range events {
				if ev.Type == core.FinalPeer {
					return // 19 more do not fit what the subscription holds
				}
			}
		}()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = dhts[0].GetClosestPeers(ctx, "x")
		}()
		synctest.Wait()
		if err := dhts[0].Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("the operation hangs after Close")
		}
	})
}

// What was to be announced when the caller's time was over is announced later,
// until StopProviding.
func TestProvideOutlivesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(4, Config{})
		silence(fakes)
		c, stopped := testCID(t, "content"), testCID(t, "stopped")
		for _, c := range []cid.Cid{c, stopped} {
			ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
			if err := dhts[0].Provide(ctx, c, true); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("provide: %v, want DeadlineExceeded", err)
			}
			cancel()
		}
		if err := dhts[0].StopProviding(stopped); err != nil {
			t.Fatal(err)
		}
		for _, f := range fakes {
			f.change(func(f *fake) { f.mute = false })
		}
		time.Sleep(10 * time.Minute)
		if n := dhts[0].Stats().Stored.Providing; n != 1 {
			t.Errorf("providing %d keys, want 1", n)
		}
		for c, want := range map[cid.Cid]int{c: 1, stopped: 0} {
			if found, err := dhts[2].FindProviders(t.Context(), c); err != nil || len(found) != want {
				t.Errorf("providers: %v, %v; want %d", found, err, want)
			}
		}
	})
}

// A negative age keeps values for ever.
func TestValuesWithoutAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for age, want := range map[time.Duration]string{-time.Hour: "1", 0: ""} {
			cfg := withNumbers(t)
			cfg.Stores.MaxAge = age
			d, _ := w.start(cfg)
			seed(t, d, "/v/a", "1")
			time.Sleep(60 * time.Hour)
			if got := stored(d, "/v/a"); got != want {
				t.Errorf("after 60 h with an age of %v: %q, want %q", age, got, want)
			}
		}
	})
}
