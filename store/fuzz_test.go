package store_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

// FuzzPut: whatever record arrives, it is refused, or it is what Get returns, and
// the store holds no more than its budgets.
func FuzzPut(f *testing.F) {
	k, sealed := seal(f, key(f, 1), "n", 7, tomorrow, "value")
	value := []byte("names itself")
	f.Add([]byte(k), sealed, []byte{0xd0, 0x05, 7})
	f.Add([]byte(store.ImmKey(value)), value, []byte(nil))
	f.Add([]byte("/pk/\x00$\x08\x01\x12 "), []byte("\x08\x01\x12 "), []byte(nil))
	f.Add([]byte("//"), []byte(nil), []byte{8})
	f.Add([]byte("/mut/"), []byte{0x0a, 0xff}, []byte(nil))
	f.Add(bytes.Repeat([]byte{'/'}, 2000), make([]byte, 100), make([]byte, 2000))
	const records, size = 50, 64 << 10
	s := store.NewValues(store.NewMemory(), store.DefaultNamespaces(func() time.Time { return epoch }),
		store.ValuesConfig{MaxRecords: records, MaxBytes: size})
	f.Fuzz(func(t *testing.T, key, value, unknown []byte) {
		put := s.Put(epoch, protocol.Record{Key: key, Value: value, Unknown: unknown})
		got, found, err := s.Get(epoch, key)
		if err != nil {
			t.Fatal(err)
		}
		if put == nil && found && !bytes.Equal(got.Value, value) {
			t.Fatalf("%x stored under %q, %x read", value, key, got.Value)
		}
		if found && !bytes.Equal(got.Key, key) {
			t.Fatalf("asked for %q, got %q", key, got.Key)
		}
		if s.Len() > records || s.Bytes() > size {
			t.Fatalf("%d records of %d bytes", s.Len(), s.Bytes())
		}
	})
}

// FuzzProviders: whatever is announced is refused or found again, with addresses
// within the bounds.
func FuzzProviders(f *testing.F) {
	id := append([]byte{0x12, 0x20}, make([]byte, 32)...)
	f.Add([]byte("a key"), id, []byte{4, 127, 0, 0, 1, 6, 0x0f, 0xa1}, uint8(3))
	f.Add(bytes.Repeat([]byte{1}, protocol.MaxProviderKey), id, []byte(nil), uint8(0))
	f.Add([]byte(nil), []byte(nil), []byte{0xff}, uint8(255))
	s := store.NewProviders(store.ProvidersConfig{MaxRecords: 100, MaxPerKey: 5, MaxAddrBytes: 16 << 10, Seed: 1})
	f.Fuzz(func(t *testing.T, key, id, addr []byte, copies uint8) {
		p := protocol.Peer{ID: id}
		for range copies {
			p.Addrs = append(p.Addrs, addr)
		}
		err := s.Add(epoch, key, p)
		found, getErr := s.Append(epoch, key, nil, 100)
		if getErr != nil {
			t.Fatal(getErr)
		}
		if len(found) > 5 || s.Len() > 100+64 { // each shard rounds its part up
			t.Fatalf("%d providers of a key, %d in all", len(found), s.Len())
		}
		stored := false
		for _, q := range found {
			stored = stored || bytes.Equal(q.ID, id)
			if len(q.Addrs) > protocol.MaxAddrs {
				t.Fatalf("%d addresses", len(q.Addrs))
			}
		}
		if err == nil && !stored {
			t.Fatalf("%x announced %x and is not told of", id, key)
		}
	})
}
