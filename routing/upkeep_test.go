package routing

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/peer"
)

// kept is a KV that survives its DHT.
type kept struct{ *store.Memory }

func (kept) Close() error { return nil }

// An own value that is kept published outlives the time for which others hold it,
// and its publisher's restart; others do not, and it does not when it is stopped.
func TestRepublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := withNumbers(t)
		cfg.Stores.MaxAge, cfg.Timing.Republish = 3*time.Hour, time.Hour
		dhts, fakes := w.overlay(6, cfg)
		cfg.Stores.Own, cfg.BootstrapPeers = kept{store.NewMemory()}, []peer.AddrInfo{fakes[0].info()}
		owner, f := w.start(cfg)
		if err := owner.WaitPeers(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		if err := owner.PutValue(t.Context(), "/v/kept", []byte("1"), Republish()); err != nil {
			t.Fatal(err)
		}
		if err := owner.PutValue(t.Context(), "/v/once", []byte("1")); err != nil {
			t.Fatal(err)
		}
		holders := func(key string) (n int) {
			for _, d := range dhts {
				if stored(d, key) != "" {
					n++
				}
			}
			return n
		}
		time.Sleep(2 * time.Hour)
		if err := owner.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Minute)
		if holders("/v/kept") != 6 || holders("/v/once") != 0 {
			t.Fatalf("before it is back %d and %d hold the values", holders("/v/kept"), holders("/v/once"))
		}
		back := w.revived(f, cfg)
		time.Sleep(10 * time.Hour)
		if n := back.Stats().Stored.Publishing; n != 1 || holders("/v/kept") != 6 {
			t.Errorf("%d hold the value, %d are kept published", holders("/v/kept"), n)
		}
		if err := back.StopRepublishing("/v/kept"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Hour)
		if n := back.Stats().Stored.Publishing; n != 0 || holders("/v/kept") != 0 {
			t.Errorf("%d hold the value, %d are kept published", holders("/v/kept"), n)
		}
	})
}

// What is put while nobody is there goes out when somebody is.
func TestRepublishedSoonIfNobodyTookIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		owner, f := w.start(withNumbers(t))
		if err := owner.PutValue(t.Context(), "/v/a", []byte("1"), Republish()); err == nil {
			t.Fatal("stored with nobody")
		}
		cfg := withNumbers(t)
		cfg.BootstrapPeers, cfg.Timing.Replicate = []peer.AddrInfo{f.info()}, -1
		other, _ := w.start(cfg)
		time.Sleep(6 * time.Minute)
		if stored(other, "/v/a") != "1" {
			t.Errorf("the other has not been given it; %d and %d in the tables, %+v", owner.Stats().Table, other.Stats().Table, w.requests(protocol.PutValue))
		}
	})
}

// A better value that has come in since is what is put again; one that is not valid
// any more is given up.
func TestRepublishesTheBest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d, _ := w.start(withNumbers(t))
		_ = d.PutValue(t.Context(), "/v/a", []byte("1"), Republish())
		seed(t, d, "/v/a", "2")
		held, err := d.own(d.loop.now(), []byte("/v/a"))
		if err != nil || len(held) != 1 || string(held[0].Record.Value) != "2" {
			t.Errorf("%+v, %v", held, err)
		}
		bad := protocol.Record{Key: []byte("/v/b"), Value: []byte("bad")}
		if err := d.publications.kv.Put(keyspace.KeyOf(bad.Key), appendOwn(nil, time.Now(), &bad)); err != nil {
			t.Fatal(err)
		}
		if held, err = d.own(d.loop.now(), bad.Key); err != nil || len(held) > 0 || d.publications.kv.Len() != 1 {
			t.Errorf("%+v, %v, %d kept", held, err, d.publications.kv.Len())
		}
	})
}

// renewing is a namespace in which the owner puts a new value while an old one is looked at.
type renewing struct {
	numbered
	renew func()
}

func (r *renewing) Validate(key string, value []byte) error {
	if renew := r.renew; renew != nil && (string(value) == "bad" || string(value) == "1") {
		r.renew = nil
		renew()
	}
	return r.numbered.Validate(key, value)
}

// A value that its owner puts while the one before it is looked at, to be put again or
// given up, takes its place.
func TestRenewedWhileItIsPutAgain(t *testing.T) {
	for _, before := range []string{"bad", "1"} {
		synctest.Test(t, func(t *testing.T) {
			var cfg Config
			judge := &renewing{}
			if err := cfg.AddNamespace("v", judge); err != nil {
				t.Fatal(err)
			}
			d, _ := newWorld(t).start(cfg)
			old := protocol.Record{Key: []byte("/v/a"), Value: []byte(before)}
			if err := d.publish(old, time.Hour); err != nil {
				t.Fatal(err)
			}
			judge.renew = func() {
				if err := d.publish(protocol.Record{Key: old.Key, Value: []byte("7")}, time.Hour); err != nil {
					t.Error(err)
				}
			}
			held, err := d.own(d.loop.now(), old.Key)
			if err != nil || len(held) != 1 || string(held[0].Record.Value) != "7" {
				t.Errorf("after %q: %+v, %v", before, held, err)
			}
			b, _, _ := d.publications.kv.Get(keyspace.KeyOf(old.Key))
			if rec, _, ok := parseOwn(b); !ok || string(rec.Value) != "7" {
				t.Errorf("after %q: %q is kept", before, rec.Value)
			}
		})
	}
}

// The form of own values takes whatever a disk makes of it.
func FuzzParseOwn(f *testing.F) {
	f.Add(appendOwn(nil, time.Unix(1e9, 0), &protocol.Record{Key: []byte("/v/a"), Value: []byte("1")}))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, last, ok := parseOwn(b)
		if !ok {
			return
		}
		again, at, ok := parseOwn(appendOwn(nil, last, &rec))
		if !ok || !at.Equal(last) || string(again.Key) != string(rec.Key) || string(again.Value) != string(rec.Value) {
			t.Fatalf("% x is read as %v at %v, and again as %v at %v", b, rec, last, again, at)
		}
	})
}

// A peer that comes near to a value is given it by those who have it; it keeps it no
// longer than they do.
func TestNewcomerIsGivenValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := withNumbers(t)
		cfg.K, cfg.Stores.MaxAge = 8, 6*time.Hour // no bucket is ever full
		dhts, fakes := w.overlay(8, cfg)
		var keys []string
		for i := range 40 {
			keys = append(keys, fmt.Sprintf("/v/%d", i))
			if err := dhts[i%8].PutValue(t.Context(), keys[i], []byte("1")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Hour)
		cfg.BootstrapPeers = []peer.AddrInfo{fakes[0].info()}
		newcomer, f := w.start(cfg)
		time.Sleep(100 * time.Minute)
		near, given := 0, 0
		for _, key := range keys {
			if slices.Contains(nearestOf(append(fakes, f), key, 8), newcomer.ID()) {
				near++
				if stored(newcomer, key) != "" {
					given++
				}
			}
		}
		if near < 3 || given < near {
			t.Errorf("of %d values that it is near to it was given %d", near, given)
		}
		time.Sleep(90 * time.Minute) // six hours after the puts
		if n := newcomer.values.Len(); n > 0 {
			t.Errorf("it keeps %d beyond their time", n)
		}
	})
}

// nearestOf returns the n of the peers whose keys are nearest to key.
func nearestOf(fakes []*fake, key string, n int) (ids []peer.ID) {
	target := keyspace.KeyOf([]byte(key))
	for _, f := range fakes {
		ids = append(ids, f.id)
	}
	slices.SortFunc(ids, func(a, b peer.ID) int {
		ka, kb := keyspace.KeyOf([]byte(a)), keyspace.KeyOf([]byte(b))
		return keyspace.CompareDistance(&target, &ka, &kb)
	})
	return ids[:n]
}

// Those who leave hand their values over, so that they are found when all who were
// given them have gone.
func TestLeavingHandsValuesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := withNumbers(t)
		cfg.K, cfg.Timing.Replicate = 3, 24*time.Hour
		dhts, _ := w.overlay(12, cfg)
		if err := dhts[0].PutValue(t.Context(), "/v/a", []byte("1")); err != nil {
			t.Fatal(err)
		}
		first := make(map[int]bool)
		for i, d := range dhts {
			first[i] = stored(d, "/v/a") != ""
		}
		for i, d := range dhts {
			if began := time.Now(); first[i] {
				if err := d.Close(); err != nil || time.Since(began) > time.Second {
					t.Fatalf("closed after %v: %v", time.Since(began), err)
				}
				time.Sleep(30 * time.Minute) // the others notice
			}
		}
		now := 0
		for i, d := range dhts {
			if !first[i] && stored(d, "/v/a") != "" {
				now++
			}
		}
		if now < 3 {
			t.Errorf("%d hold the value after those who did have gone", now)
		}
	})
}
