package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// valuesTTL puts values whose senders want them kept for less than the store would:
// they are given up in time, are not longer for being put again like that, and are
// for being put without the wish.
func valuesTTL(t *testing.T, open OpenValues) {
	v := open(t, rules{}, store.ValuesConfig{MaxAge: 10 * time.Hour})
	defer v.Close() //nolint:errcheck // memory of a test
	copied := func(at time.Duration, i int, value string, ttl time.Duration) {
		t.Helper()
		mustPut(t, v, epoch.Add(at), rec(i, value).WithTTL(ttl))
	}
	copied(0, 1, "5", 2*time.Hour)
	copied(0, 2, "5", 20*time.Hour) // longer than anybody's is kept
	copied(0, 3, "5", 0)
	copied(time.Hour, 1, "5", time.Hour)   // the same copy, an hour later
	copied(time.Hour, 3, "5", time.Hour)   // does not shorten what its owner's put gave
	copied(time.Hour, 4, "5", 2*time.Hour) // is put again by its owner, below
	copied(time.Hour, 5, "5", 0)           // makes room for a better one
	copied(time.Hour, 5, "6", 2*time.Hour)
	copied(2*time.Hour, 4, "5", 0)
	for _, c := range []struct {
		at   time.Duration
		held string // which are
	}{{2 * time.Hour, "12345"}, {2*time.Hour + 2*time.Second, "2345"}, {3 * time.Hour, "2345"}, {3*time.Hour + 2*time.Second, "234"}, {10 * time.Hour, "234"}, {10*time.Hour + 2*time.Second, "4"}, {12*time.Hour + 2*time.Second, ""}} {
		held := ""
		for i := 1; i <= 5; i++ {
			if _, found, err := v.Get(epoch.Add(c.at), recKey(i)); found || err != nil {
				held += fmt.Sprint(i)
			}
		}
		if held != c.held {
			t.Errorf("at %v %q are held, want %q", c.at, held, c.held)
		}
	}
}

// ranger is what a Values has that can be read in order.
type ranger interface {
	Range(now time.Time, first, last keyspace.Key, fn func(rec protocol.Record, age, left time.Duration) bool) error
}

// valuesRange reads values in the order of the keyspace, with their times.
func valuesRange(t *testing.T, open OpenValues) {
	v := open(t, rules{}, store.ValuesConfig{MaxAge: 10 * time.Hour})
	defer v.Close() //nolint:errcheck // memory of a test
	r, ok := v.(ranger)
	if !ok {
		t.Fatalf("%T cannot be read in order", v)
	}
	for i := range 300 {
		mustPut(t, v, epoch.Add(time.Duration(i)*time.Minute), rec(i, "5"))
	}
	now := epoch.Add(11 * time.Hour)
	first, last := keyspace.KeyOf(recKey(200)).Region(2)
	want := 0
	for i := range 300 {
		if k := keyspace.KeyOf(recKey(i)); k.Compare(&first) >= 0 && k.Compare(&last) <= 0 && i >= 60 {
			want++
		}
	}
	var before keyspace.Key
	got := 0
	err := r.Range(now, first, last, func(rec protocol.Record, age, left time.Duration) bool {
		key := keyspace.KeyOf(rec.Key)
		if key.Compare(&before) <= 0 || key.Compare(&first) < 0 || key.Compare(&last) > 0 {
			t.Errorf("%s is out of order", rec.Key)
		}
		if whole := age + left; age < time.Hour || age > 11*time.Hour || whole < 10*time.Hour || whole > 10*time.Hour+2*time.Second {
			t.Errorf("%s is %v old, with %v left", rec.Key, age, left)
		}
		before = key
		got++
		clear(rec.Value) // it is ours
		return true
	})
	if err != nil || got != want || want < 20 {
		t.Errorf("%d read, want %d: %v", got, want, err)
	}
	if again, _, _ := v.Get(now, recKey(200)); string(again.Value) != "5" {
		t.Errorf("what was read is the store's own: %q", again.Value)
	}
	got = 0
	if err := r.Range(now, first, last, func(protocol.Record, time.Duration, time.Duration) bool { got++; return false }); err != nil || got != 1 {
		t.Errorf("%d after being told to stop: %v", got, err)
	}
}
