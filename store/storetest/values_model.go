package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// valuesClock sets the clock back and forth and lets real time go on in steps
// (reliability.md P22).
func valuesClock(t *testing.T, open OpenValues) {
	const step, ttl = 10 * time.Minute, 48 * time.Hour
	for _, jump := range []time.Duration{
		time.Second, -time.Second, time.Minute, -time.Minute, 59 * time.Minute, -59 * time.Minute,
		-2 * time.Hour, 48 * time.Hour, -48 * time.Hour, 30 * 24 * time.Hour, -30 * 24 * time.Hour,
	} {
		v := open(t, rules{}, store.ValuesConfig{})
		mustPut(t, v, epoch, rec(1, "5"))
		var lived time.Duration
		for ; v.Len() > 0 && lived < 2*ttl; lived += step {
			now := epoch.Add(lived)
			if lived >= time.Hour {
				now = now.Add(jump)
			}
			v.Advance(now)
		}
		if lived > ttl+time.Hour {
			t.Errorf("a jump of %v: a record lived %v", jump, lived)
		}
		if jump < time.Hour && lived < ttl-time.Hour {
			t.Errorf("a jump of %v: a record was forgotten after %v", jump, lived)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
}

// valuesManyAtOnce puts ever better values of few keys from many goroutines: what
// a put answered with success is never replaced by something worse.
func valuesManyAtOnce(t *testing.T, open OpenValues) {
	v := open(t, rules{}, store.ValuesConfig{})
	defer v.Close() //nolint:errcheck // memory of a test
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := range byte(200) {
				i := int(n) % 5
				r := protocol.Record{Key: recKey(i), Value: []byte{n, byte(w)}}
				if err := v.Put(epoch, r); err != nil && !errors.Is(err, store.ErrOld) {
					t.Error(err)
				}
				got, found, err := v.Get(epoch, r.Key)
				if err != nil || !found || got.Value[0] < n {
					t.Errorf("after a put of %d: %v, %t, %v", n, got.Value, found, err)
				}
			}
			v.Advance(epoch)
		})
	}
	wg.Wait()
	for i := range 5 {
		if got, _, _ := v.Get(epoch, recKey(i)); len(got.Value) != 2 || got.Value[0] != byte(195+i) {
			t.Errorf("key %d ends with %v, want %d first", i, got.Value, 195+i)
		}
	}
	if v.Len() != 5 {
		t.Errorf("%d records of 5 keys", v.Len())
	}
}

// valuesModel compares random puts, gets and passing time with a map.
func valuesModel(tb testing.TB, t *rapid.T, open OpenValues) {
	const ttl = time.Hour
	type entry struct {
		value string
		at    time.Time
	}
	v := open(tb, rules{}, store.ValuesConfig{MaxAge: ttl})
	defer v.Close() //nolint:errcheck // memory of a test
	model := make(map[int]entry)
	now := epoch
	fresh := func(i int) (entry, bool) {
		e, ok := model[i]
		return e, ok && now.Sub(e.at) <= ttl
	}
	t.Repeat(map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			i := rapid.IntRange(0, 9).Draw(t, "key")
			value := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "value"))
			err := v.Put(now, rec(i, value))
			if e, ok := fresh(i); ok && e.value > value {
				if !errors.Is(err, store.ErrOld) {
					t.Fatalf("put of %s over %s: %v", value, e.value, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			model[i] = entry{value, now}
		},
		"get": func(t *rapid.T) {
			i := rapid.IntRange(0, 9).Draw(t, "key")
			got, found, err := v.Get(now, recKey(i))
			e, want := fresh(i)
			if err != nil || found != want {
				t.Fatalf("get %d: %t, %v; want %t", i, found, err, want)
			}
			if found && (string(got.Value) != e.value || string(got.TimeReceived) != e.at.Format(time.RFC3339Nano)) {
				t.Fatalf("get %d: %q of %s; want %q of %v", i, got.Value, got.TimeReceived, e.value, e.at)
			}
		},
		"time": func(t *rapid.T) {
			now = now.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
		},
		"advance": func(t *rapid.T) { v.Advance(now) },
		"": func(t *rapid.T) {
			n := 0
			for i := range model {
				if _, ok := fresh(i); ok {
					n++
				}
			}
			if v.Len() < n || v.Len() > len(model) {
				t.Fatalf("Len %d, want %d to %d", v.Len(), n, len(model))
			}
		},
	})
}

// valuesBudgets puts records of random size into a small store: it never exceeds
// its budgets, and what it gives up is farther than all it keeps and the new one.
func valuesBudgets(tb testing.TB, t *rapid.T, open OpenValues) {
	cfg := store.ValuesConfig{Self: place(rapid.IntRange(0, 1000).Draw(t, "self")), MaxRecords: 8, MaxBytes: 8000}
	v := open(tb, rules{}, cfg)
	defer v.Close() //nolint:errcheck // memory of a test
	held := make(map[int]string)
	t.Repeat(map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			i := rapid.IntRange(0, 99).Draw(t, "key")
			value := "5" + string(make([]byte, rapid.SampledFrom([]int{0, 100, 1000, 3000}).Draw(t, "size")))
			err := v.Put(epoch, rec(i, value))
			if err != nil && !errors.Is(err, store.ErrFull) {
				t.Fatal(err)
			}
			if err == nil {
				held[i] = value
			}
			gone := missing(t, v, held)
			if len(gone) > 0 && err != nil {
				t.Fatalf("put of %d was refused (%v) but %v are gone", i, err, gone)
			}
			for _, o := range gone {
				wantFarthest(t, &cfg.Self, held, o)
			}
		},
		"": func(t *rapid.T) {
			if v.Len() != len(held) || v.Len() > cfg.MaxRecords || v.Bytes() > cfg.MaxBytes {
				t.Fatalf("%d records (%d known), %d bytes", v.Len(), len(held), v.Bytes())
			}
		},
	})
}

// missing removes from held what the store does not hold any more and returns it.
func missing(t *rapid.T, v store.Values, held map[int]string) (gone []int) {
	for i, value := range held {
		got, found, err := v.Get(epoch, recKey(i))
		if err != nil || found && string(got.Value) != value {
			t.Fatalf("record %d changed: %v", i, err)
		}
		if !found {
			gone = append(gone, i)
		}
	}
	for _, i := range gone {
		delete(held, i)
	}
	return gone
}

// wantFarthest expects gone to be farther from self than everything still held.
func wantFarthest(t *rapid.T, self *keyspace.Key, held map[int]string, gone int) {
	lost := keyspace.KeyOf(recKey(gone))
	for i := range held {
		k := keyspace.KeyOf(recKey(i))
		if keyspace.CompareDistance(self, &k, &lost) > 0 {
			t.Fatalf("record %d was given up although %d is farther", gone, i)
		}
	}
}
