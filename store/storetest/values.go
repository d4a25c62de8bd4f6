package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

// OpenValues makes an empty Values for one test, which closes it.
type OpenValues func(tb testing.TB, rules record.Validator, cfg store.ValuesConfig) store.Values

// Values runs the suite for Values implementations.
func Values(t *testing.T, open OpenValues) {
	for name, test := range map[string]func(*testing.T, OpenValues){
		"StampsAndCopies":       valuesStampAndCopy,
		"BetterValueWins":       valuesBetterWins,
		"SameValueRefreshes":    valuesSameRefreshes,
		"InvalidatedIsAbsent":   valuesInvalidated,
		"RefusesByReason":       valuesRefusals,
		"ForgetsByAge":          valuesForget,
		"KeepsTheNearest":       valuesKeepNearest,
		"TooOldGoesFirst":       valuesExpiredFirst,
		"TooOldIsFreeOnce":      valuesGrowWhenOld,
		"ClockSetBackOrForward": valuesClock,
		"ManyAtOnce":            valuesManyAtOnce,
		"KeptAsLongAsWanted":    valuesTTL,
		"ReadInOrder":           valuesRange,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
	t.Run("Model", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) { valuesModel(t, rt, open) })
	})
	t.Run("Budgets", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) { valuesBudgets(t, rt, open) })
	})
}

// rules are those of a namespace for tests: a value is valid unless its first
// byte is revoked, and better if its first byte is greater. Judging lets other
// goroutines run, as checking a signature does.
type rules struct{ revoked *byte }

func (r rules) Validate(_ string, value []byte) error {
	if len(value) == 0 || r.revoked != nil && value[0] == *r.revoked {
		return errors.New("not a value of the test")
	}
	return nil
}

func (r rules) Select(_ string, values [][]byte) (int, error) {
	runtime.Gosched()
	best := 0
	for i := range values {
		if values[i][0] > values[best][0] {
			best = i
		}
	}
	return best, nil
}

func recKey(i int) []byte { return fmt.Appendf(nil, "/v/%d", i) }

func rec(i int, value string) protocol.Record {
	return protocol.Record{Key: recKey(i), Value: []byte(value)}
}

func valuesStampAndCopy(t *testing.T, open OpenValues) {
	v := open(t, rules{}, store.ValuesConfig{})
	defer v.Close() //nolint:errcheck // memory of a test
	r := rec(1, "5five")
	r.TimeReceived = []byte("1999-01-01T00:00:00Z") // the sender's word counts for nothing
	r.Unknown = []byte{0xd2, 0x29, 2, 'm', 'e'}
	mustPut(t, v, epoch.In(time.FixedZone("", 3600)), r)
	r.Key[3], r.Value[0], r.Unknown[0] = 'X', 'X', 'X'
	for range 2 {
		got, found, err := v.Get(epoch, []byte("/v/1"))
		if err != nil || !found || string(got.Key) != "/v/1" || string(got.Value) != "5five" {
			t.Fatalf("got %+v, %t, %v", got, found, err)
		}
		if string(got.TimeReceived) != "2026-11-22T14:58:37.708978Z" {
			t.Errorf("stamped %s, want 2026-11-22T14:58:37.708978Z", got.TimeReceived)
		}
		if !bytes.Equal(got.Unknown, []byte{0xd2, 0x29, 2, 'm', 'e'}) {
			t.Errorf("unknown fields came back as %x", got.Unknown)
		}
		clear(got.Key)
		clear(got.Value)
		clear(got.Unknown)
	}
	if _, found, err := v.Get(epoch, []byte("/v/2")); found || err != nil {
		t.Errorf("an absent key: %t, %v", found, err)
	}
}

func valuesBetterWins(t *testing.T, open OpenValues) {
	v := open(t, rules{}, store.ValuesConfig{})
	defer v.Close() //nolint:errcheck // memory of a test
	mustPut(t, v, epoch, rec(1, "5"))
	if err := v.Put(epoch, rec(1, "4")); !errors.Is(err, store.ErrOld) {
		t.Errorf("a worse value: %v, want ErrOld", err)
	}
	wantValue(t, v, epoch, 1, "5")
	mustPut(t, v, epoch, rec(1, "6"))
	wantValue(t, v, epoch, 1, "6")
	mustPut(t, v, epoch, rec(1, "6 tie goes to the new one"))
	wantValue(t, v, epoch, 1, "6 tie goes to the new one")
	if v.Len() != 1 {
		t.Errorf("%d records of one key", v.Len())
	}
}

func valuesSameRefreshes(t *testing.T, open OpenValues) {
	v := open(t, rules{}, store.ValuesConfig{})
	defer v.Close() //nolint:errcheck // memory of a test
	for day := range 10 {
		now := epoch.Add(time.Duration(day) * 24 * time.Hour)
		v.Advance(now)
		mustPut(t, v, now, rec(1, "5"))
	}
	wantValue(t, v, epoch.Add((9*24+48)*time.Hour), 1, "5")
}

func valuesInvalidated(t *testing.T, open OpenValues) {
	var revoked byte
	v := open(t, rules{&revoked}, store.ValuesConfig{})
	defer v.Close() //nolint:errcheck // memory of a test
	mustPut(t, v, epoch, rec(1, "9"))
	revoked = '9'
	mustPut(t, v, epoch, rec(1, "1"))
	wantValue(t, v, epoch, 1, "1")
}

func valuesRefusals(t *testing.T, open OpenValues) {
	ns := store.Namespaces{"v": rules{}}
	v := open(t, ns, store.ValuesConfig{MaxValue: 100, MaxKey: 50})
	defer v.Close() //nolint:errcheck // memory of a test
	long := protocol.Record{Key: append([]byte("/v/"), make([]byte, 47)...), Value: bytes.Repeat([]byte{'5'}, 100)}
	mustPut(t, v, epoch, long)
	longKey, longValue, unknown := long, long, long
	longKey.Key = append(longKey.Key, 'x')
	longValue.Value = append(longValue.Value, '5')
	unknown.Unknown = make([]byte, 64<<10)
	for name, c := range map[string]struct {
		rec  protocol.Record
		want error
	}{
		"no key":            {protocol.Record{Value: []byte("5")}, store.ErrInvalid},
		"long key":          {longKey, store.ErrTooLarge},
		"long value":        {longValue, store.ErrTooLarge},
		"much unknown":      {unknown, store.ErrTooLarge},
		"unknown namespace": {protocol.Record{Key: []byte("/w/1"), Value: []byte("5")}, store.ErrNamespace},
		"no namespace":      {protocol.Record{Key: []byte("v1"), Value: []byte("5")}, store.ErrNamespace},
		"invalid":           {rec(1, ""), store.ErrInvalid},
	} {
		if err := v.Put(epoch, c.rec); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if v.Len() != 1 {
		t.Errorf("%d records held, want 1", v.Len())
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if err := v.Put(epoch, rec(1, "5")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("put after Close: %v", err)
	}
	unused := open(t, ns, store.ValuesConfig{})
	if err := unused.Close(); err != nil {
		t.Error(err)
	}
	for _, v := range []store.Values{v, unused} {
		if _, _, err := v.Get(epoch, recKey(1)); !errors.Is(err, store.ErrClosed) {
			t.Errorf("get after Close: %v", err)
		}
	}
}

func valuesForget(t *testing.T, open OpenValues) {
	v := open(t, rules{}, store.ValuesConfig{MaxAge: time.Hour})
	defer v.Close() //nolint:errcheck // memory of a test
	if !v.NextDeadline().IsZero() {
		t.Error("an empty store waits for something")
	}
	for i := range 100 {
		mustPut(t, v, epoch.Add(time.Duration(i)*time.Minute), rec(i, "5"))
	}
	now := epoch.Add(99 * time.Minute)
	for i := range 100 {
		_, found, err := v.Get(now, recKey(i))
		if want := i >= 39; found != want || err != nil {
			t.Errorf("record of %d minutes: %t, %v", 99-i, found, err)
		}
	}
	// A record that is too old blocks nothing.
	mustPut(t, v, now, rec(0, "1"))
	last := now
	v.Advance(now)
	for steps := 0; v.Len() > 0; steps++ {
		next := v.NextDeadline()
		if !next.After(last) || steps > 200 {
			t.Fatalf("step %d: deadline %v after %v with %d records held", steps, next, last, v.Len())
		}
		v.Advance(next)
		last = next
	}
	if late := last.Sub(now.Add(time.Hour)); late < 0 || late > 2*time.Minute {
		t.Errorf("the last record was forgotten %v after it became too old", late)
	}
	if !v.NextDeadline().IsZero() || v.Bytes() != 0 {
		t.Errorf("emptied store: deadline %v, %d bytes", v.NextDeadline(), v.Bytes())
	}
}

// valuesKeepNearest fills a store of ten with a thousand: the ten nearest stay.
func valuesKeepNearest(t *testing.T, open OpenValues) {
	self := place(77)
	v := open(t, rules{}, store.ValuesConfig{Self: self, MaxRecords: 10})
	defer v.Close() //nolint:errcheck // memory of a test
	refused := 0
	for i := range 1000 {
		if err := v.Put(epoch, rec(i, "5")); err != nil {
			refused++
			if !errors.Is(err, store.ErrFull) {
				t.Fatalf("put into a full store: %v", err)
			}
		}
	}
	if refused < 800 || v.Len() != 10 {
		t.Errorf("%d refused, %d held", refused, v.Len())
	}
	for rank, i := range byDistance(self, 1000, recKey) {
		if _, found, _ := v.Get(epoch, recKey(i)); found != (rank < 10) {
			t.Errorf("the record of rank %d is held: %t", rank, found)
		}
	}
}

// valuesExpiredFirst fills a store with a near record that is too old and a far
// one that is not: the near one gives way.
func valuesExpiredFirst(t *testing.T, open OpenValues) {
	self := place(77)
	keys := byDistance(self, 3, recKey)
	v := open(t, rules{}, store.ValuesConfig{Self: self, MaxRecords: 2})
	defer v.Close() //nolint:errcheck // memory of a test
	mustPut(t, v, epoch, rec(keys[0], "5"))
	now := epoch.Add(72 * time.Hour)
	mustPut(t, v, now, rec(keys[2], "5"))
	mustPut(t, v, now, rec(keys[1], "5"))
	wantValue(t, v, now, keys[1], "5")
	wantValue(t, v, now, keys[2], "5")
}

// valuesGrowWhenOld puts a record again, larger, that is too old and not yet forgotten:
// what it took before is free once, not twice.
func valuesGrowWhenOld(t *testing.T, open OpenValues) {
	const budget = 12_000
	v := open(t, rules{}, store.ValuesConfig{MaxBytes: budget})
	defer v.Close() //nolint:errcheck // memory of a test
	sized := func(i, size int) protocol.Record {
		return protocol.Record{Key: recKey(i), Value: bytes.Repeat([]byte{'5'}, size)}
	}
	mustPut(t, v, epoch, sized(1, 4000))
	mustPut(t, v, epoch.Add(30*time.Hour), sized(2, 4000))
	if err := v.Put(epoch.Add(60*time.Hour), sized(1, 8000)); err != nil && !errors.Is(err, store.ErrFull) {
		t.Fatal(err)
	}
	if v.Bytes() > budget {
		t.Errorf("%d bytes held of %d", v.Bytes(), budget)
	}
}

// mustPut puts r, which must succeed.
func mustPut(t *testing.T, v store.Values, now time.Time, r protocol.Record) {
	t.Helper()
	if err := v.Put(now, r); err != nil {
		t.Fatalf("put %s: %v", r.Key, err)
	}
}

// wantValue expects record i to hold value.
func wantValue(t *testing.T, v store.Values, now time.Time, i int, value string) {
	t.Helper()
	got, found, err := v.Get(now, recKey(i))
	if err != nil || !found || string(got.Value) != value {
		t.Errorf("record %d is %q, %t, %v; want %q", i, got.Value, found, err, value)
	}
}
