package routing

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	coreprotocol "github.com/libp2p/go-libp2p/core/protocol"
	core "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"
)

// touchy judges values by their first byte, without looking whether there is one:
// it finds values that begin with 1 valid, and panics at the empty one.
type touchy struct{ record.Validator }

func (touchy) Validate(_ string, value []byte) error {
	if value[0] != '1' {
		return record.ErrInvalidRecordType
	}
	return nil
}

func (touchy) Select(string, [][]byte) (int, error) { return 0, nil }

// The rules of a namespace are called with values only, and their panics are
// refusals.
func TestValidatorsOfThePrograms(t *testing.T) {
	for name, rules := range map[string]record.Validator{
		"ours": store.Namespaces{"x": touchy{}}, "libp2p's": record.NamespacedValidator{"x": touchy{}}, "another": touchy{},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				cfg := Config{Validator: rules}
				dhts, _ := w.overlay(2, cfg)
				d := dhts[0]
				if _, err := d.GetValue(t.Context(), "/x/a"); err != ErrNotFound {
					t.Errorf("get of nothing: %v, want ErrNotFound", err)
				}
				if err := d.PutValue(t.Context(), "/x/a", nil); err == nil || !strings.Contains(err.Error(), "panicked") {
					t.Errorf("put of what the validator panics at: %v", err)
				}
				if err := d.PutValue(t.Context(), "/x/a", []byte("1")); err != nil {
					t.Error(err)
				}
				if value, err := dhts[1].GetValue(t.Context(), "/x/a"); err != nil || string(value) != "1" {
					t.Errorf("get: %q, %v", value, err)
				}
				_, err := d.GetValue(t.Context(), "/y/a")
				if known := name != "another"; errors.Is(err, ErrNotSupported) != known {
					t.Errorf("get in a namespace that does not exist: %v", err)
				}
			})
		})
	}
}

// panicking is a store that panics.
type panicking struct{ store.Values }

func (panicking) Put(time.Time, protocol.Record) error { panic("of the store") }

func (panicking) Get(time.Time, []byte) (protocol.Record, bool, error) {
	return protocol.Record{Value: []byte{}}, true, nil
}

func TestStoreThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values := panicking{store.NewValues(store.NewMemory(), touchy{}, store.ValuesConfig{})}
		d, _ := newWorld(t).start(Config{Validator: touchy{}, Stores: Stores{Values: values}})
		if err := d.PutValue(t.Context(), "/x/a", []byte("1")); err == nil || !strings.Contains(err.Error(), "of the store") {
			t.Errorf("put: %v", err)
		}
		if _, err := d.GetValue(t.Context(), "/x/a", core.Offline); err != ErrNotFound {
			t.Errorf("get of what the validator panics at: %v, want ErrNotFound", err)
		}
	})
}

// A filter that panics lets nothing pass, and nothing else happens.
func TestFiltersThatPanic(t *testing.T) {
	bad := func(p peer.AddrInfo) bool { return p.Addrs[3] != nil }
	for name, filters := range map[string]Filters{
		"table": {Table: bad}, "query": {Query: bad},
		"addresses": {Addresses: func(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr { return addrs[3:] }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				_, fakes := w.overlay(4, Config{})
				d, f := w.start(Config{Filters: filters, BootstrapPeers: []peer.AddrInfo{fakes[0].info()}})
				f.Remember(fakes[1].id, []multiaddr.Multiaddr{fakes[1].addr}, time.Hour)
				if err := f.Connect(t.Context(), fakes[1].info()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				_, _ = d.GetClosestPeers(t.Context(), "x")
				if n := d.Stats().Table; name == "table" && n != 0 {
					t.Errorf("%d peers entered the table", n)
				}
				if name == "addresses" && len(d.LocalAddrs()) != 0 {
					t.Errorf("addresses that passed: %v", d.LocalAddrs())
				}
			})
		})
	}
}

// Whichever way leads to a key first, the other does not write to the report
// when its owner has it back.
func TestGetPublicKeyLeavesTheReportAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(5, Config{})
		_, pub, err := crypto.GenerateECDSAKeyPair(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		f := w.addWithKey(pub)
		holder, _ := w.startOn(f, Config{BootstrapPeers: []peer.AddrInfo{fakes[0].info()}})
		if err := holder.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		value, err := crypto.MarshalPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		seed(t, holder, core.KeyForPublicKey(f.id), string(value))
		f.change(func(f *fake) { f.hideKey = true })
		// One who looks the record up among others than its owner.
		others := func(p peer.AddrInfo) bool { return p.ID != f.id }
		asker, from := w.start(Config{Filters: Filters{Query: others, Table: others}, BootstrapPeers: []peer.AddrInfo{fakes[0].info()}})
		if err := asker.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		from.Remember(f.id, f.Addrs(), time.Hour)
		for _, other := range fakes {
			other.change(func(f *fake) { f.lag = time.Second })
		}
		var report Report
		if _, err := asker.GetPublicKey(WithReport(t.Context(), &report), f.id); err != nil {
			t.Fatal(err)
		}
		report = Report{Hops: 77}
		time.Sleep(time.Minute)
		if report.Hops != 77 {
			t.Errorf("the report was written after the return: %+v", report)
		}
		if _, err := dhts[1].GetPublicKey(WithReport(t.Context(), &report), w.addECDSA().id); err != ErrNotFound || report.Asked == 0 || report.Hops == 77 {
			t.Errorf("of nobody: %v, report %+v", err, report)
		}
	})
}

// addECDSA makes a peer whose id does not hold its key, which nobody knows.
func (w *world) addECDSA() *fake {
	_, pub, err := crypto.GenerateECDSAKeyPair(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	f := w.addWithKey(pub)
	f.change(func(f *fake) { f.hideKey = true })
	return f
}

// An operation that is refused leaves no earlier one's report.
func TestReportIsEmptiedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		off, _ := w.start(Config{Parts: Parts{DisableValues: true, DisableProviders: true}})
		c := testCID(t, "x")
		for name, run := range map[string]func(ctx context.Context) error{
			"closest":   func(ctx context.Context) error { return second1(off.GetClosestPeers(ctx, "")) },
			"peer":      func(ctx context.Context) error { return second1(off.FindPeer(ctx, "")) },
			"get":       func(ctx context.Context) error { return second1(off.GetValue(ctx, "/v/x")) },
			"search":    func(ctx context.Context) error { return second1(off.SearchValue(ctx, "/v/x")) },
			"put":       func(ctx context.Context) error { return off.PutValue(ctx, "/v/x", nil) },
			"provide":   func(ctx context.Context) error { return off.Provide(ctx, c, true) },
			"providers": func(ctx context.Context) error { return second1(off.FindProviders(ctx, c)) },
			"key":       func(ctx context.Context) error { return second1(off.GetPublicKey(ctx, w.addECDSA().id)) },
			"ask":       func(ctx context.Context) error { return second1(off.Ask(ctx, "", &protocol.Message{})) },
			"async": func(ctx context.Context) error {
				for range off.FindProvidersAsync(ctx, c, 0) {
				}
				return errProvidersOff
			},
		} {
			report := Report{Hops: 77}
			if err := run(WithReport(t.Context(), &report)); err == nil || report.Hops != 0 {
				t.Errorf("%s: %v, report %+v", name, err, report)
			}
		}
	})
}

// What no peer may answer is not asked for.
func TestOversizedKeysAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, _ := w.overlay(3, withNumbers(t))
		d := dhts[0]
		synctest.Wait()
		w.requests(0)
		c := inlined(t, strings.Repeat("z", 100))
		long := "/v/" + strings.Repeat("q", protocol.MaxValueKey)
		for name, err := range map[string]error{
			"closest":   second1(d.GetClosestPeers(t.Context(), strings.Repeat("q", maxLookupKey+1))),
			"get":       second1(d.GetValue(t.Context(), long)),
			"search":    second1(d.SearchValue(t.Context(), long)),
			"put":       d.PutValue(t.Context(), long, []byte("1")),
			"provide":   d.Provide(t.Context(), c, true),
			"providers": second1(d.FindProviders(t.Context(), c)),
		} {
			if err == nil || !strings.Contains(err.Error(), "bytes") {
				t.Errorf("%s: %v, want an error that names the bound", name, err)
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.sent) != 0 {
			t.Errorf("%d requests were sent", len(w.sent))
		}
	})
}

// The function that names bootstrap peers is called when they are needed, by one
// goroutine at a time, and not over and over.
func TestBootstrapPeersFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, first := w.start(Config{})
		var calls, running, most atomic.Int32
		d, _ := w.start(Config{BootstrapPeersFunc: func() []peer.AddrInfo {
			calls.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			return []peer.AddrInfo{first.info(), {}}
		}})
		if err := d.WaitReady(t.Context()); err != nil || d.Stats().Table != 1 {
			t.Fatalf("%v, table of %d", err, d.Stats().Table)
		}
		time.Sleep(time.Hour)
		if n := calls.Load(); n < 30 || n > 70 || most.Load() != 1 {
			t.Errorf("called %d times in a healthy hour, %d at once; want about 60, one by one", n, most.Load())
		}
		calls.Store(0)
		first.crash()
		time.Sleep(time.Hour)
		if n := calls.Load(); n < 500 || n > 800 {
			t.Errorf("called %d times in an hour alone, want about 720", n)
		}
	})
}

// One that does not return keeps nobody from anything, nor does one that panics.
func TestBootstrapPeersFuncThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, first := w.start(Config{})
		hang := make(chan struct{})
		d, f := w.start(Config{BootstrapPeersFunc: func() []peer.AddrInfo { <-hang; panic("of the function") }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := d.WaitReady(ctx); !errors.Is(err, ErrNoPeers) || !strings.Contains(err.Error(), "BootstrapPeersFunc") || time.Since(began) != time.Minute {
			t.Errorf("not ready after %v: %v", time.Since(began), err)
		}
		if err := f.Connect(t.Context(), first.info()); err != nil {
			t.Fatal(err)
		}
		if err := d.WaitReady(t.Context()); err != nil {
			t.Errorf("ready by another way: %v", err)
		}
		began = time.Now()
		if err := d.Close(); err != nil || time.Since(began) > 2*askPatience {
			t.Errorf("close took %v: %v", time.Since(began), err)
		}
		close(hang)
	})
}

// refusing is a transport whose host serves the protocol for another.
type refusing struct{ *fake }

func (refusing) Serve(map[coreprotocol.ID]host.FrameHandler) error { return host.ErrServed }

func TestProtocolServedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newWorld(t).add()
		if d, err := newDHT(refusing{f}, fakeStreams{f}, Config{}); d != nil || !errors.Is(err, host.ErrServed) {
			t.Errorf("%v, %v; want ErrServed", d, err)
		}
		if d, err := newDHT(refusing{f}, fakeStreams{f}, Config{Mode: ModeClient}); err != nil {
			t.Errorf("a client: %v", err)
		} else {
			_ = d.Close()
		}
	})
}
