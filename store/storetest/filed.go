package storetest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// OpenFiled opens the Filed kept in a directory, an empty one if there is none. Its
// machine has been up for as long as uptime says, since the boot it names.
type OpenFiled func(tb testing.TB, dir string, uptime func() (string, time.Duration)) store.Filed

// Filed runs the suite for KVs that keep the index of values too: all of Durable's, and
// what a ValueStore asks besides.
func Filed(t *testing.T, open OpenFiled) {
	still := func() (string, time.Duration) { return "", 0 }
	Durable(t, func(tb testing.TB, dir string) store.KV { return open(tb, dir, still) })
	t.Run("Order", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			kv := open(t, t.TempDir(), still)
			defer kv.Close() //nolint:errcheck // of a test
			m := filedModel{kv: kv, held: make(map[keyspace.Key]filedPair)}
			rt.Repeat(map[string]func(*rapid.T){
				"":         m.check,
				"put":      m.put,
				"delete":   m.delete,
				"drop":     m.drop,
				"farthest": m.farthest,
			})
		})
	})
	t.Run("Time", func(t *testing.T) { filedTime(t, open) })
}

// filedModel is what a Filed should hold.
type filedModel struct {
	kv   store.Filed
	held map[keyspace.Key]filedPair
}

type filedPair struct {
	value []byte
	at    uint32
}

func (m *filedModel) key(t *rapid.T) (k keyspace.Key) {
	k[0], k[31] = rapid.ByteRange(0, 7).Draw(t, "head")<<5, rapid.ByteRange(0, 3).Draw(t, "tail")
	return k
}

func (m *filedModel) put(t *rapid.T) {
	k := m.key(t)
	p := filedPair{rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "value"), rapid.Uint32Range(1, 9).Draw(t, "at")}
	m.held[k] = p
	if err := m.kv.PutAt(k, bytes.Clone(p.value), p.at); err != nil {
		t.Fatal(err)
	}
}

func (m *filedModel) delete(t *rapid.T) {
	k := m.key(t)
	delete(m.held, k)
	if err := m.kv.Delete(k); err != nil {
		t.Fatal(err)
	}
}

// drop forgets some of the oldest: as many as asked for, if there are so many, and none
// that is younger than one that stays.
func (m *filedModel) drop(t *rapid.T) {
	last, n := rapid.Uint32Range(0, 10).Draw(t, "last"), rapid.IntRange(1, 5).Draw(t, "n")
	due := 0
	for _, p := range m.held {
		if p.at <= last {
			due++
		}
	}
	dropped, err := m.kv.DropOld(last, n)
	if err != nil || dropped != min(due, n) {
		t.Fatalf("DropOld(%d, %d) forgot %d of %d: %v", last, n, dropped, due, err)
	}
	youngest, oldest := uint32(0), ^uint32(0)
	for k, p := range m.held {
		_, _, found, err := m.kv.GetAt(k)
		switch {
		case err != nil:
			t.Fatal(err)
		case found:
			oldest = min(oldest, p.at)
		default:
			youngest = max(youngest, p.at)
			delete(m.held, k)
			dropped--
		}
	}
	if dropped != 0 || youngest > last || youngest > oldest {
		t.Fatalf("DropOld(%d, %d): %d too many, one of %d is gone, one of %d is not", last, n, dropped, youngest, oldest)
	}
}

func (m *filedModel) farthest(t *rapid.T) {
	self, n := m.key(t), rapid.IntRange(1, 20).Draw(t, "n")
	var want, got []keyspace.Key
	for k := range m.held {
		want = append(want, k)
	}
	slices.SortFunc(want, func(a, b keyspace.Key) int { return keyspace.CompareDistance(&self, &b, &a) })
	err := m.kv.Farthest(self, func(k keyspace.Key, size int) bool {
		if p, held := m.held[k]; !held || len(p.value) != size {
			t.Fatalf("%s of %d bytes: want %d, %t", k, size, len(p.value), held)
		}
		got = append(got, k)
		return len(got) < n
	})
	if err != nil || !slices.Equal(got, want[:min(n, len(want))]) {
		t.Fatalf("the farthest %d from %s: %v, %v; want %v", n, self, got, err, want)
	}
}

func (m *filedModel) check(t *rapid.T) {
	oldest, size := uint32(0), int64(0)
	for k, p := range m.held {
		v, at, found, err := m.kv.GetAt(k)
		if err != nil || !found || at != p.at || !bytes.Equal(v, p.value) {
			t.Fatalf("%s is %x of %d, %t, %v; want %x of %d", k, v, at, found, err, p.value, p.at)
		}
		size += int64(len(p.value))
		if oldest == 0 || p.at < oldest {
			oldest = p.at
		}
	}
	if got, err := m.kv.Oldest(); err != nil || got != oldest {
		t.Fatalf("Oldest is %d, %v; want %d", got, err, oldest)
	}
	if m.kv.Len() != len(m.held) || m.kv.Bytes() != size {
		t.Fatalf("Len %d, Bytes %d; want %d, %d", m.kv.Len(), m.kv.Bytes(), len(m.held), size)
	}
}

// filedTime lets time pass between two runs, by the clock and by the machine's uptime.
func filedTime(t *testing.T, open OpenFiled) {
	const start, told = 1 << 30, 1<<30 + 500
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		clock, up time.Duration // passed
		rebooted  bool
		want      time.Duration
	}{
		"an hour":                            {time.Hour, time.Hour, false, time.Hour},
		"an hour, the clock set back":        {-30 * day, time.Hour, false, time.Hour},
		"an hour, the clock set forward":     {30 * day, time.Hour, false, time.Hour},
		"a reboot and an hour":               {time.Hour, -20 * time.Hour, true, time.Hour},
		"a reboot, the clock set back":       {-30 * day, -20 * time.Hour, true, 0},
		"a reboot, longer up than before it": {2 * time.Hour, 70 * time.Hour, true, 2 * time.Hour},
	} {
		dir, up, boot := t.TempDir(), 30*time.Hour, "one"
		uptime := func() (string, time.Duration) { return boot, up }
		kv := open(t, dir, uptime)
		if got := kv.Resume(epoch, start); got != start {
			t.Errorf("%s: a new one resumes at %d, want %d", name, got, start)
		}
		if err := kv.Tell(epoch, told); err != nil {
			t.Fatal(err)
		}
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
		up += c.up
		if c.rebooted {
			boot = "two"
		}
		kv = open(t, dir, uptime)
		if got := kv.Resume(epoch.Add(c.clock), start); got != told+uint32(c.want/time.Second) {
			t.Errorf("%s: %d s have passed, want %v", name, int64(got)-told, c.want)
		}
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
