package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
)

var seen = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func some(n int) []Peer {
	peers := make([]Peer, n)
	for i := range peers {
		peers[i] = Peer{ID: fmt.Appendf(nil, "peer %d", i), Seen: seen.Add(time.Duration(i) * time.Second), Addrs: [][]byte{}}
		for j := range i % 4 {
			peers[i].Addrs = append(peers[i].Addrs, fmt.Appendf(nil, "address %d", j))
		}
	}
	return peers
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 400, MaxPeers} {
		got, err := Parse(Append(nil, some(n)))
		if err != nil || !reflect.DeepEqual(got, some(n)) {
			t.Errorf("of %d peers %d came back: %v", n, len(got), err)
		}
	}
}

// What exceeds a bound is left out by the writer, so that its reader takes the rest.
func TestWriterKeepsBounds(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 5000)
	peers := append([]Peer{{ID: long}, {}, {ID: []byte("a"), Addrs: [][]byte{long, nil, []byte("short")}}}, some(2*MaxPeers)...)
	got, err := Parse(Append(nil, peers))
	if err != nil || len(got) != MaxPeers || string(got[0].ID) != "a" || len(got[0].Addrs) != 1 {
		t.Fatalf("%d peers, the first with %d addresses: %v", len(got), len(got[0].Addrs), err)
	}
	fat := make([]Peer, MaxPeers)
	for i := range fat {
		fat[i] = Peer{ID: fmt.Appendf(nil, "%d", i)}
		for range protocol.MaxAddrs {
			fat[i].Addrs = append(fat[i].Addrs, long[:maxAddr])
		}
	}
	b := Append(nil, fat)
	if got, err = Parse(b); err != nil || len(b) > MaxSize || len(got) < MaxPeers/4 {
		t.Errorf("%d peers in %d bytes: %v", len(got), len(b), err)
	}
}

// Whatever byte is changed, whatever is cut off: it is noticed.
func TestDamage(t *testing.T) {
	good := Append(nil, some(5))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := Parse(bad); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := Parse(good[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	newer := bytes.Clone(good)
	newer[len(magic)] = version + 1
	if _, err := Parse(newer); !errors.Is(err, ErrNewer) {
		t.Errorf("of a newer version: %v", err)
	}
}

// Members come first, who left is kept for a week.
func TestMerge(t *testing.T) {
	now := seen.Add(8 * 24 * time.Hour)
	before := some(3)
	before[1].Seen, before[2].Seen = now.Add(-time.Hour), now.Add(-time.Hour)
	members := []Peer{{ID: []byte("new")}, {ID: before[2].ID, Seen: now}}
	var ids []string
	for _, p := range Merge(now, members, before) {
		ids = append(ids, string(p.ID))
	}
	if got := strings.Join(ids, ", "); got != "new, peer 2, peer 1" {
		t.Error(got)
	}
	if n := len(Merge(now, some(2*MaxPeers), before)); n != MaxPeers {
		t.Errorf("%d are kept", n)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table")
	f := NewFile(path)
	if peers, err := f.Load(); len(peers) > 0 || err != nil {
		t.Fatalf("without a file: %d, %v", len(peers), err)
	}
	for _, n := range []int{7, 3} {
		if err := f.Save(some(n)); err != nil {
			t.Fatal(err)
		}
		if peers, err := NewFile(path).Load(); len(peers) != n || err != nil {
			t.Fatalf("%d of %d: %v", len(peers), n, err)
		}
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("%d files are left: %v", len(files), err)
	}
	if err := os.WriteFile(path, []byte("not a table"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("damaged: %v", err)
	}
	if err := os.WriteFile(path, make([]byte, MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("too large: %v", err)
	}
	if err := NewFile(filepath.Join(path, "below", "a file")).Save(nil); err == nil {
		t.Error("it was kept where nothing can be")
	}
}

// FuzzParse: whatever bytes a file holds, reading them keeps the bounds, and what
// is read can be written again.
func FuzzParse(f *testing.F) {
	f.Add(Append(nil, nil)[:len(magic)+2])
	body := Append(nil, some(9))
	f.Add(body[:len(body)-4])
	rng := rand.New(rand.NewPCG(1, 1))
	noise := append([]byte(magic), version)
	for range 64 {
		noise = append(noise, byte(rng.Uint32()))
	}
	f.Add(noise)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, in := range [][]byte{b, withSum(b)} {
			peers, err := Parse(in)
			if err != nil {
				if len(peers) > 0 {
					t.Fatalf("%d peers beside %v", len(peers), err)
				}
				continue
			}
			if len(peers) > MaxPeers {
				t.Fatalf("%d peers", len(peers))
			}
			again, err := Parse(Append(nil, peers))
			if err != nil || !reflect.DeepEqual(again, peers) {
				t.Fatalf("written again, %d of %d are read: %v", len(again), len(peers), err)
			}
		}
	})
}

// withSum gives bytes the sum they would have, so that the fuzzer gets past it.
func withSum(b []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(b), crc32.Checksum(b, castagnoli))
}
