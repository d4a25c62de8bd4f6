package store

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// TestClock tells moments in and out of order.
func TestClock(t *testing.T) {
	var c clock
	at := func(d time.Duration) int64 { return int64(c.tick(testEpoch.Add(d))) - int64(firstTick) }
	for _, step := range []struct {
		told time.Duration
		want int64
	}{
		{0, 0},
		{900 * time.Millisecond, 0},
		{10 * time.Second, 10},
		{5 * time.Second, 10}, // a late caller
		{11 * time.Second, 11},
		{-49 * time.Second, 11}, // still a late caller
		{12 * time.Second, 12},
		{-time.Hour, 12}, // set back
		{-time.Hour + 5*time.Second, 17},
		{-time.Hour + 3*time.Second, 17},
		{24 * time.Hour, 25*3600 + 12},
		{1 << 62, 1<<62/int64(time.Second) + 3600 + 12},
	} {
		want := min(step.want, 1<<32-1-int64(firstTick))
		if got := at(step.told); got != want {
			t.Errorf("%v: tick %d, want %d", step.told, got, want)
		}
	}
	now := testEpoch.Add(-time.Hour)
	c.tick(now)
	if tick := c.tick(now.Add(time.Minute)); c.time(tick).After(now.Add(time.Minute)) {
		t.Errorf("tick %d is at %v", tick, c.time(tick))
	}
}

// TestLoad starts on a KV that an earlier run left, with the clock where it was,
// ahead and behind.
func TestLoad(t *testing.T) {
	for _, c := range []struct {
		later time.Duration
		want  int
		lives time.Duration
	}{
		{time.Hour, 10, 47 * time.Hour},
		{-24 * time.Hour, 10, 48 * time.Hour}, // from the future: new
		{47*time.Hour + 30*time.Minute, 10, 30 * time.Minute},
		{49 * time.Hour, 0, 0},
	} {
		kv := NewMemory()
		first := NewValues(kv, anyValue{}, ValuesConfig{})
		for i := range 10 {
			if err := first.Put(testEpoch, protocol.Record{Key: testKey(i), Value: []byte("v")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := kv.Put(keyspace.KeyOf([]byte("broken")), []byte("broken")); err != nil {
			t.Fatal(err)
		}
		second := NewValues(kv, anyValue{}, ValuesConfig{})
		now := testEpoch.Add(c.later)
		if err := second.Load(now); err != nil {
			t.Fatal(err)
		}
		if second.Len() != c.want || kv.Len() != c.want {
			t.Errorf("%v later: %d loaded, %d in the KV, want %d", c.later, second.Len(), kv.Len(), c.want)
		}
		if c.want > 0 && second.Bytes() != first.Bytes() {
			t.Errorf("%v later: %d bytes, were %d", c.later, second.Bytes(), first.Bytes())
		}
		_, before, _ := second.Get(now.Add(c.lives), testKey(3))
		_, after, _ := second.Get(now.Add(c.lives+2*time.Second), testKey(3))
		if before != (c.want > 0) || after {
			t.Errorf("%v later: readable at its end: %t, after: %t", c.later, before, after)
		}
	}
	kv := NewMemory()
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	if err := NewValues(kv, anyValue{}, ValuesConfig{}).Load(testEpoch); !errors.Is(err, ErrClosed) {
		t.Errorf("Load from a closed KV: %v", err)
	}
}

// TestLoadKeepsBudgets starts with budgets smaller than what is there.
func TestLoadKeepsBudgets(t *testing.T) {
	kv := NewMemory()
	first := NewValues(kv, anyValue{}, ValuesConfig{})
	for i := range 1000 {
		if err := first.Put(testEpoch, protocol.Record{Key: testKey(i), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	self := keyspace.KeyOf([]byte("self"))
	second := NewValues(kv, anyValue{}, ValuesConfig{Self: self, MaxRecords: 10})
	if err := second.Load(testEpoch); err != nil || second.Len() != 10 || kv.Len() != 10 {
		t.Fatalf("%d loaded, %d in the KV: %v", second.Len(), kv.Len(), err)
	}
	for i := range 1000 {
		k := keyspace.KeyOf(testKey(i))
		if _, found, _ := second.Get(testEpoch, testKey(i)); !found && farFrom(&self, &k) < second.index.(*valueIndex).far[0].far {
			t.Errorf("record %d is gone although farther ones stayed", i)
		}
	}
}

// FuzzStored: whatever parses is what appendStored writes.
func FuzzStored(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendStored(nil, testEpoch, &protocol.Record{Key: []byte("/v/k"), Value: []byte("value"), Unknown: []byte{8, 1}}))
	f.Add(append(binary.BigEndian.AppendUint64([]byte{storedVersion}, 1), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, received, err := parseStored(b)
		if err != nil {
			return
		}
		again, receivedAgain, err := parseStored(appendStored(nil, received, &rec))
		if err != nil || !receivedAgain.Equal(received) || string(again.Key) != string(rec.Key) ||
			string(again.Value) != string(rec.Value) || string(again.Unknown) != string(rec.Unknown) {
			t.Fatalf("%x reads as %+v, then as %+v: %v", b, rec, again, err)
		}
		if _, err := time.Parse(time.RFC3339Nano, string(own(&rec, received).TimeReceived)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestStoredForm pins the form of stored records, which outlives a program.
func TestStoredForm(t *testing.T) {
	rec := protocol.Record{Key: []byte("/v/k"), Value: []byte("value"), Unknown: []byte{0xd0, 0x05, 7}}
	got := appendStored(nil, time.Unix(0, 0x0102030405060708), &rec)
	want := "\x01\x01\x02\x03\x04\x05\x06\x07\x08\x04/v/k\x03\xd0\x05\x07value"
	if string(got) != want {
		t.Errorf("stored as %q, want %q", got, want)
	}
}

// TestStampIsUTC: the stamp does not depend on where the program runs.
func TestStampIsUTC(t *testing.T) {
	defer func(l *time.Location) { time.Local = l }(time.Local)
	time.Local = time.FixedZone("elsewhere", 5*3600)
	s := NewValues(NewMemory(), anyValue{}, ValuesConfig{})
	if err := s.Put(testEpoch.Local(), protocol.Record{Key: testKey(1)}); err != nil {
		t.Fatal(err)
	}
	rec, _, err := s.Get(testEpoch, testKey(1))
	if err != nil || string(rec.TimeReceived) != "2026-11-22T12:00:00Z" {
		t.Errorf("stamped %s, %v", rec.TimeReceived, err)
	}
}

// failing is a KV whose disk is full or broken.
type failing struct {
	*Memory
	err error
}

func (f *failing) Put(keyspace.Key, []byte) error         { return f.err }
func (f *failing) Get(keyspace.Key) ([]byte, bool, error) { return nil, false, f.err }
func (f *failing) Sync() error                            { return f.err }

// TestFailingKV: its errors reach the caller and leave the counts as they were.
func TestFailingKV(t *testing.T) {
	full := errors.New("disk full")
	kv := &failing{Memory: NewMemory(), err: full}
	s := NewValues(kv, anyValue{}, ValuesConfig{})
	rec := protocol.Record{Key: testKey(1)}
	if err := s.Put(testEpoch, rec); !errors.Is(err, full) || s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("put: %v, %d records, %d bytes", err, s.Len(), s.Bytes())
	}
	kv.err = nil
	if err := s.Put(testEpoch, rec); err != nil {
		t.Fatal(err)
	}
	kv.err = full
	if _, _, err := s.Get(testEpoch, rec.Key); !errors.Is(err, full) || s.Len() != 1 {
		t.Errorf("get: %v, %d records", err, s.Len())
	}
	if err := s.Put(testEpoch, rec); !errors.Is(err, full) {
		t.Errorf("put over what cannot be read: %v", err)
	}
}

// TestUnsynced: a put that may not survive is not acknowledged.
func TestUnsynced(t *testing.T) {
	kv := &unsynced{NewMemory()}
	s := NewValues(kv, anyValue{}, ValuesConfig{})
	if err := s.Put(testEpoch, protocol.Record{Key: testKey(1)}); !errors.Is(err, errUnsynced) {
		t.Errorf("put: %v", err)
	}
}

var errUnsynced = errors.New("not synced")

type unsynced struct{ *Memory }

func (unsynced) Sync() error { return errUnsynced }
