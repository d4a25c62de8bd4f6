package providerlog

import (
	"bytes"
	"slices"
	"testing"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

// FuzzLog reads any file as a segment: no panic, no work out of proportion, and
// what it says reads the same after it is written again.
func FuzzLog(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendHeader(nil))
	whole := sampleSegment(false)
	f.Add(whole)
	f.Add(sampleSegment(true))
	f.Add(whole[:len(whole)-5])
	f.Add(append(slices.Clone(whole[:60]), whole[61:]...))
	flipped := slices.Clone(whole)
	flipped[100] ^= 1
	f.Add(flipped)
	f.Fuzz(func(t *testing.T, b []byte) {
		first, lost := said(t, b)
		if most := len(b)/frameHead + 1; len(first) > most || lost > most {
			t.Fatalf("%d records and %d lost in %d bytes", len(first), lost, len(b))
		}
		out := appendHeader(nil)
		known := make(names)
		for _, r := range first {
			number, tell := known.number(r.Peer)
			if tell {
				out = appendFrame(out, int64(len(out)), appendProvider(nil, number, r.Seen, r.Peer))
			}
			a := add{number: number, added: r.Added, first: r.First, key: r.Key}
			out = appendFrame(out, int64(len(out)), a.append(nil))
		}
		again, lost := said(t, out)
		if lost > 0 || len(again) != len(first) {
			t.Fatalf("%d records, %d after they were written again, %d lost", len(first), len(again), lost)
		}
		for i, r := range first {
			o := again[i]
			if !bytes.Equal(r.Key, o.Key) || !bytes.Equal(r.Peer.ID, o.Peer.ID) || r.Added != o.Added || r.First != o.First ||
				!slices.EqualFunc(r.Peer.Addrs, o.Peer.Addrs, bytes.Equal) {
				t.Fatalf("record %d: %+v, then %+v", i, r, o)
			}
		}
	})
}

// FuzzPayload is the same below the checksums, which fuzzing hardly ever gets
// right.
func FuzzPayload(f *testing.F) {
	p := provider(1)
	f.Add(appendProvider(nil, 1, 7, &p))
	a := add{number: 1, added: 1 << 30, first: 1<<30 - 640, told: true, key: multihash(1)}
	f.Add(a.append(nil))
	f.Add(appendRemove(nil, 9, multihash(1), p.ID))
	m := mark{tick: 1, wall: 2, up: 3, boot: "b"}
	f.Add(m.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > blockSize-headerSize-frameHead {
			return
		}
		segment := appendHeader(nil)
		q := provider(2)
		segment = appendFrame(segment, int64(len(segment)), appendProvider(nil, 1, 7, &q))
		segment = appendFrame(segment, int64(len(segment)), b)
		said(t, segment)
	})
}

// sampleSegment returns a segment of a few hundred records, as the log writes it.
func sampleSegment(remove bool) []byte {
	l := tail{limits: limits{segment: maxSegment, pending: 1 << 30, span: 1 << 30}, kick: make(chan struct{}, 1)}
	l.mark = mark{tick: 1 << 30, wall: epoch.UnixNano()}
	var peers [5]protocol.Peer
	for i := range 200 {
		p := &peers[i%5]
		*p = provider(i % 5)
		l.add(&store.Announced{Peer: p, At: 1<<30 + uint32(i), First: 1 << 30, Seen: 1 << 30}, multihash(i), i%2 == 0)
		if remove && i%10 == 0 {
			l.remove(1<<30+uint32(i), multihash(i), p.ID)
		}
	}
	return l.take()[0].data
}

// said returns the records in a segment, and how many were lost.
func said(t *testing.T, b []byte) (records []store.ProviderRecord, lost int) {
	t.Helper()
	sc, err := newScanner(&memFile{disk: newMemDisk(), now: b})
	if err != nil {
		t.Fatal(err)
	}
	d := decoder{
		added: func(r *store.ProviderRecord) {
			c := *r
			c.Key = slices.Clone(r.Key)
			records = append(records, c)
		},
		removed: func(uint32, []byte, []byte) {},
		marked:  func(mark) {},
	}
	d.all(sc)
	return records, d.lost
}

// TestSampleReads is FuzzLog's corpus as a plain test: every record of a whole
// segment is read.
func TestSampleReads(t *testing.T) {
	records, lost := said(t, sampleSegment(true))
	if len(records) != 200 || lost != 0 {
		t.Fatalf("%d records, %d lost", len(records), lost)
	}
	for i, r := range records {
		if !bytes.Equal(r.Key, multihash(i)) || !bytes.Equal(r.Peer.ID, provider(i%5).ID) || r.Added != 1<<30+uint32(i) || r.First > 1<<30+63 {
			t.Errorf("record %d: %+v", i, r)
		}
	}
}
