package routing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// numbered lets values be any text; the greater one wins.
type numbered struct{}

func (numbered) Validate(_ string, value []byte) error {
	if bytes.HasPrefix(value, []byte("bad")) {
		return errors.New("bad value")
	}
	return nil
}

func (numbered) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i := range values {
		if bytes.Compare(values[i], values[best]) > 0 {
			best = i
		}
	}
	return best, nil
}

// withNumbers returns a configuration with the namespace v.
func withNumbers(t testing.TB) Config {
	var cfg Config
	if err := cfg.AddNamespace("v", numbered{}); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// seed puts a value into a node's own store.
func seed(t testing.TB, d *DHT, key, value string) {
	t.Helper()
	if err := d.PutValue(t.Context(), key, []byte(value), core.Offline); err != nil {
		t.Fatal(err)
	}
}

func stored(d *DHT, key string) string {
	rec, _, _ := d.values.Get(d.loop.now(), []byte(key))
	return string(rec.Value)
}

func TestOverlayInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, _ := w.overlay(30, withNumbers(t))
		var report Report
		if err := dhts[3].PutValue(Thorough(WithReport(t.Context(), &report)), "/v/a", []byte("1")); err != nil {
			t.Fatal(err)
		}
		if len(report.Holders) != 20 || report.Failed.Total() != 0 || report.Hops == 0 {
			t.Errorf("report of put: %+v, want 20 holders and no failures", report)
		}
		for i, d := range dhts {
			value, err := d.GetValue(t.Context(), "/v/a")
			if err != nil || string(value) != "1" {
				t.Errorf("node %d: get: %q, %v", i, value, err)
			}
		}
		c := testCID(t, "content")
		if err := dhts[4].Provide(t.Context(), c, true); err != nil {
			t.Fatal(err)
		}
		for i, d := range dhts {
			found, err := d.FindProviders(t.Context(), c)
			if err != nil || len(found) != 1 || found[0].ID != dhts[4].ID() || len(found[0].Addrs) != 1 {
				t.Errorf("node %d: providers %v, %v", i, found, err)
			}
		}
	})
}

func TestFirstNodeKeepsItsValueAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newWorld(t).start(withNumbers(t))
		if err := d.WaitReady(t.Context()); err != nil {
			t.Errorf("the first node of a network is ready: %v", err)
		}
		err := d.PutValue(t.Context(), "/v/a", []byte("1"))
		if !errors.Is(err, ErrNoPeers) {
			t.Errorf("put alone: %v, want ErrNoPeers", err)
		}
		if value, err := d.GetValue(t.Context(), "/v/a"); err != nil || string(value) != "1" {
			t.Errorf("get alone: %q, %v", value, err)
		}
		if _, err := d.GetValue(t.Context(), "/v/b"); !errors.Is(err, ErrNoPeers) {
			t.Errorf("get of nothing alone: %v, want ErrNoPeers", err)
		}
		c := testCID(t, "content")
		if err := d.Provide(t.Context(), c, true); !errors.Is(err, ErrNoPeers) {
			t.Errorf("provide alone: %v, want ErrNoPeers", err)
		}
		found, err := d.FindProviders(t.Context(), c)
		if err != nil || len(found) != 1 || found[0].ID != d.ID() || len(found[0].Addrs) != 1 {
			t.Errorf("providers alone: %v, %v", found, err)
		}
		if _, err := d.GetClosestPeers(t.Context(), "x"); !errors.Is(err, ErrNoPeers) {
			t.Errorf("closest alone: %v, want ErrNoPeers", err)
		}
	})
}

// What a node provided while it was alone is announced when others have come.
func TestProvidedAloneIsAnnouncedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, f := w.start(Config{})
		c := testCID(t, "content")
		if err := first.Provide(t.Context(), c, true); !errors.Is(err, ErrNoPeers) {
			t.Fatalf("provide alone: %v", err)
		}
		second, _ := w.start(Config{BootstrapPeers: []peer.AddrInfo{f.info()}})
		if err := second.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Minute)
		if n := second.Stats().Stored.Providers; n != 1 {
			t.Errorf("the second node holds %d provider records, want 1", n)
		}
	})
}

func TestQuorumIsExact(t *testing.T) {
	for quorum, want := range map[int]int{1: 1, 2: 2, 3: 3, 5: 5, 0: 20} {
		t.Run(fmt.Sprint(quorum), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				cfg := withNumbers(t)
				cfg.Alpha = 1 // one after another, so that no answer comes unasked for
				dhts, _ := w.overlay(25, cfg)
				for _, d := range dhts[1:] {
					seed(t, d, "/v/q", "1")
				}
				w.requests(protocol.GetValue)
				var report Report
				value, err := dhts[0].GetValue(WithReport(t.Context(), &report), "/v/q", Quorum(quorum))
				if err != nil || string(value) != "1" || len(report.Holders) != want {
					t.Errorf("%q from %d holders, %v; want %d", value, len(report.Holders), err, want)
				}
			})
		})
	}
}

// The case that another implementation gets wrong: one fast holder and five slow
// ones, and one value is enough.
func TestQuorumOfOneWaitsForNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(7, withNumbers(t))
		for i, d := range dhts[1:] {
			seed(t, d, "/v/q", "1")
			if i > 0 {
				fakes[i+1].change(func(f *fake) { f.lag = 800 * time.Millisecond })
			}
		}
		began := time.Now()
		if _, err := dhts[0].GetValue(t.Context(), "/v/q", Quorum(1)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("took %v, want no time at all", took)
		}
		if _, err := dhts[0].GetValue(t.Context(), "/v/q", Quorum(2)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 800*time.Millisecond {
			t.Errorf("two values took %v, want 800ms", took)
		}
		if _, err := dhts[0].GetValue(t.Context(), "/v/q", Quorum(-1)); err == nil {
			t.Error("a quorum of -1 was taken")
		}
	})
}

func TestOfflineAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, _ := w.overlay(5, withNumbers(t))
		seed(t, dhts[1], "/v/elsewhere", "1")
		w.requests(0)
		seed(t, dhts[0], "/v/here", "1")
		value, err := dhts[0].GetValue(t.Context(), "/v/here", core.Offline)
		if err != nil || string(value) != "1" {
			t.Errorf("offline get: %q, %v", value, err)
		}
		if _, err := dhts[0].GetValue(t.Context(), "/v/elsewhere", core.Offline); err != ErrNotFound {
			t.Errorf("offline get of what is elsewhere: %v, want ErrNotFound", err)
		}
		values, err := dhts[0].SearchValue(t.Context(), "/v/here", core.Offline)
		if err != nil {
			t.Fatal(err)
		}
		if got := collect(values); len(got) != 1 || got[0] != "1" {
			t.Errorf("offline search: %q", got)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.sent) != 0 {
			t.Errorf("%d requests were sent", len(w.sent))
		}
	})
}

func collect(values <-chan []byte) (all []string) {
	for v := range values {
		all = append(all, string(v))
	}
	return all
}

func TestSearchValueStreamsBetterAndBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(6, withNumbers(t))
		for i, d := range dhts {
			if i == 5 {
				continue // holds nothing
			}
			seed(t, d, "/v/s", fmt.Sprint(i))
			fakes[i].change(func(f *fake) { f.lag = time.Duration(i) * 100 * time.Millisecond })
		}
		values, err := dhts[0].SearchValue(t.Context(), "/v/s")
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(collect(values)); got != "[0 1 2 3 4]" {
			t.Errorf("got %v, want every better value once, in order", got)
		}
		time.Sleep(time.Minute) // corrections are made in the background
		for i, d := range dhts {
			if got := stored(d, "/v/s"); got != "4" {
				t.Errorf("node %d holds %q now, want 4", i, got)
			}
		}
	})
}

func TestSearchValueOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, _ := newWorld(t).overlay(3, withNumbers(t))
		values, err := dhts[0].SearchValue(t.Context(), "/v/none")
		if err != nil {
			t.Fatal(err)
		}
		if got := collect(values); got != nil {
			t.Errorf("got %q", got)
		}
		if _, err := dhts[0].GetValue(t.Context(), "/v/none"); err != core.ErrNotFound {
			t.Errorf("get of nothing: %v, want libp2p's ErrNotFound itself", err)
		}
	})
}

func TestPutRefusesWorseAndBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, _ := w.overlay(4, withNumbers(t))
		if err := dhts[0].PutValue(t.Context(), "/v/p", []byte("5")); err != nil {
			t.Fatal(err)
		}
		w.requests(0)
		for _, c := range []struct {
			key, value string
			want       error
		}{
			{"/v/p", "4", store.ErrOld},
			{"/v/p", "bad", store.ErrInvalid},
			{"/none/p", "1", ErrNotSupported},
			{"/none/p", "1", store.ErrNamespace},
			{"noslash", "1", ErrNotSupported},
			{"", "1", nil},
			{"/v/large", string(make([]byte, protocol.MaxValue+1)), store.ErrTooLarge},
		} {
			err := dhts[0].PutValue(t.Context(), c.key, []byte(c.value))
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("put %.20q under %q: %v, want %v", c.value, c.key, err, c.want)
			}
		}
		if sent := w.requests(protocol.PutValue); len(sent) > 0 {
			t.Errorf("%d requests were sent for them", len(sent))
		}
		if _, err := dhts[0].GetValue(t.Context(), "/none/p"); !errors.Is(err, ErrNotSupported) || !errors.Is(err, store.ErrNamespace) {
			t.Errorf("get under an unknown namespace: %v", err)
		}
	})
}

func TestPutThatNobodyTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, f := w.start(Config{Parts: Parts{DisableValues: true}})
		cfg := withNumbers(t)
		cfg.BootstrapPeers = []peer.AddrInfo{f.info()}
		second, _ := w.start(cfg)
		if err := second.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		var report Report
		err := second.PutValue(WithReport(t.Context(), &report), "/v/a", []byte("1"))
		if !errors.Is(err, ErrNotStored) || report.Failed.Refused != 1 || len(report.Holders) != 0 {
			t.Errorf("put: %v, report %+v; want ErrNotStored and a refusal", err, report)
		}
		for _, err := range []error{
			first.PutValue(t.Context(), "/v/a", nil),
			second1(first.GetValue(t.Context(), "/v/a")),
			second1(first.SearchValue(t.Context(), "/v/a")),
		} {
			if !errors.Is(err, ErrNotSupported) {
				t.Errorf("with values switched off: %v, want ErrNotSupported", err)
			}
		}
	})
}

func second1[T any](_ T, err error) error { return err }

func TestProvidersSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newWorld(t).start(Config{Parts: Parts{DisableProviders: true}})
		c := testCID(t, "content")
		for _, err := range []error{
			d.Provide(t.Context(), c, true), second1(d.FindProviders(t.Context(), c)), d.StopProviding(c),
		} {
			if !errors.Is(err, ErrNotSupported) {
				t.Errorf("with providers switched off: %v, want ErrNotSupported", err)
			}
		}
		for p := range d.FindProvidersAsync(t.Context(), c, 1) {
			t.Errorf("found %v", p)
		}
	})
}

func TestFindProvidersCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, _ := w.overlay(12, Config{})
		c := testCID(t, "content")
		for _, d := range dhts[1:9] {
			if err := d.Provide(t.Context(), c, true); err != nil {
				t.Fatal(err)
			}
		}
		for count, want := range map[int]int{0: 8, 1: 1, 3: 3, 8: 8, 100: 8} {
			for _, d := range []*DHT{dhts[0], dhts[1], dhts[11]} {
				seen := make(map[peer.ID]bool)
				for p := range d.FindProvidersAsync(t.Context(), c, count) {
					if seen[p.ID] || len(p.Addrs) == 0 {
						t.Errorf("provider %v twice, or without addresses", p)
					}
					seen[p.ID] = true
				}
				if len(seen) != want {
					t.Errorf("count %d: %d providers, want %d", count, len(seen), want)
				}
			}
		}
		if err := dhts[1].Provide(t.Context(), testCID(t, "secret"), false); err != nil {
			t.Fatal(err)
		}
		if found, err := dhts[0].FindProviders(t.Context(), testCID(t, "secret")); err != nil || len(found) > 1 {
			t.Errorf("what is not announced: %v, %v", found, err)
		}
	})
}

func TestReprovideUntilStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, _ := w.overlay(4, Config{})
		c := testCID(t, "content")
		if err := dhts[0].Provide(t.Context(), c, true); err != nil {
			t.Fatal(err)
		}
		w.requests(0)
		time.Sleep(5 * time.Hour)
		if sent := w.requests(protocol.AddProvider); len(sent) != 0 {
			t.Errorf("%d announcements before their time", len(sent))
		}
		time.Sleep(22*time.Hour + 30*time.Minute) // in its turn of the cycle
		if sent := w.requests(protocol.AddProvider); len(sent) != 3 {
			t.Errorf("%d announcements after 27 h and a half, want 3", len(sent))
		}
		time.Sleep(21*time.Hour + 30*time.Minute) // beyond the 48 h that a record lives, here and there
		for i, d := range dhts {
			if found, err := d.FindProviders(t.Context(), c); err != nil || len(found) != 1 || d.Stats().Stored.Providers != 1 {
				t.Errorf("node %d after 49 h: %v, %v", i, found, err)
			}
		}
		if err := dhts[0].StopProviding(c); err != nil {
			t.Fatal(err)
		}
		if s := dhts[0].Stats().Stored; s.Providers != 0 || s.Providing != 0 {
			t.Errorf("after StopProviding: %+v", s)
		}
	})
}

func TestFindPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(10, Config{})
		info, err := dhts[0].FindPeer(t.Context(), dhts[0].ID())
		if err != nil || len(info.Addrs) != 1 || !info.Addrs[0].Equal(fakes[0].addr) {
			t.Errorf("find myself: %v, %v", info, err)
		}
		if local := dhts[0].FindLocal(t.Context(), fakes[7].id); local.ID != fakes[7].id || len(local.Addrs) != 1 {
			t.Errorf("find a connected one locally: %v", local)
		}
		fakes[0].change(func(f *fake) {
			f.disconnect(fakes[7])
			delete(f.addrs, fakes[7].id)
		})
		synctest.Wait()
		w.requests(0)
		if local := dhts[0].FindLocal(t.Context(), fakes[7].id); local.ID != "" || len(w.requests(protocol.FindNode)) > 0 {
			t.Errorf("find one that is not connected locally: %v", local)
		}
		info, err = dhts[0].FindPeer(t.Context(), fakes[7].id)
		if err != nil || len(info.Addrs) != 1 || !info.Addrs[0].Equal(fakes[7].addr) {
			t.Errorf("find one that is not connected: %v, %v", info, err)
		}
		if len(w.requests(protocol.FindNode)) == 0 {
			t.Error("nobody was asked")
		}
		if _, err := dhts[0].FindPeer(t.Context(), w.add().id); err != core.ErrNotFound {
			t.Errorf("find one that does not exist: %v, want ErrNotFound", err)
		}
		if _, err := dhts[0].FindPeer(t.Context(), ""); err == nil {
			t.Error("an empty id was looked for")
		}
	})
}

func TestPingAndAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(3, Config{})
		for _, id := range []peer.ID{dhts[0].ID(), dhts[1].ID()} {
			if err := dhts[0].Ping(t.Context(), id); err != nil {
				t.Errorf("ping: %v", err)
			}
		}
		fakes[2].crash()
		if err := dhts[0].Ping(t.Context(), dhts[2].ID()); !errors.Is(err, protocol.ErrUnreachable) {
			t.Errorf("ping of a crashed peer: %v, want ErrUnreachable", err)
		}
		fakes[1].change(func(f *fake) { f.mute = true })
		began := time.Now()
		if err := dhts[0].Ping(t.Context(), dhts[1].ID()); !errors.Is(err, protocol.ErrTimeout) || time.Since(began) != requestTimeout {
			t.Errorf("ping of a mute peer: %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := dhts[0].Ping(ctx, dhts[1].ID()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ping with a deadline: %v, want the context's error", err)
		}
		fakes[1].change(func(f *fake) { f.mute = false })
		resp, err := dhts[0].Ask(t.Context(), dhts[1].ID(), &protocol.Message{Type: protocol.FindNode, Key: []byte(dhts[1].ID())})
		if err != nil || len(resp.CloserPeers) == 0 || string(resp.CloserPeers[0].ID) != string(dhts[1].ID()) {
			t.Errorf("ask: %v, %v", resp, err)
		}
	})
}

// Many operations at once wait for their turn; none fails for a limit of ours.
func TestManyOperationsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(6, withNumbers(t))
		for _, f := range fakes {
			f.change(func(f *fake) { f.lag = 10 * time.Millisecond })
		}
		const n = 5 * maxOperations
		errs := make(chan error, n)
		for i := range n {
			go func() {
				var report Report
				err := dhts[0].PutValue(WithReport(t.Context(), &report), fmt.Sprintf("/v/%d", i), []byte("1"))
				if err == nil && (report.Failed.Total() > 0 || len(report.Holders) != 5) {
					err = fmt.Errorf("report %+v", report)
				}
				errs <- err
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
	})
}
