package keystore_test

import (
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store/keystore"
	"github.com/kdht/kdht/store/storetest"
)

var epoch = time.Unix(1_790_000_000, 0)

// hash returns the i-th of a sequence of sha2-256 multihashes.
func hash(i int) []byte {
	sum := keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return append([]byte{0x12, 0x20}, sum[:]...)
}

func TestKeystore(t *testing.T) {
	storetest.Keystore(t, false, func(testing.TB) *keystore.Keystore { return keystore.New() })
}

func TestKeys(t *testing.T) {
	s := keystore.New()
	for _, bad := range [][]byte{nil, make([]byte, 81)} {
		if _, err := s.Add(bad); !errors.Is(err, keystore.ErrKey) {
			t.Errorf("a key of %d bytes: %v", len(bad), err)
		}
	}
	for _, good := range [][]byte{{1}, make([]byte, 80)} {
		if n, err := s.Add(good, good); n != 1 || err != nil {
			t.Errorf("a key of %d bytes: %d added, %v", len(good), n, err)
		}
		if there, err := s.Has(good); !there || err != nil {
			t.Errorf("a key of %d bytes: %v, %v", len(good), there, err)
		}
	}
	if there, err := s.Has([]byte{2}); there || err != nil {
		t.Errorf("what was not added is there: %v, %v", there, err)
	}
	_ = s.Announced(epoch, []byte{1})
	if err := s.Ask([]byte{1}, []byte{3}); err != nil || s.DueLen() != 3 {
		t.Errorf("%d keys due, %v", s.DueLen(), err)
	}
}

// A key in memory costs little more than itself: a million must fit beside all else.
func TestMemoryCost(t *testing.T) {
	const n = 1 << 17
	inUse := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	s := keystore.New()
	for i := range n {
		if _, err := s.Add(hash(i)); err != nil {
			t.Fatal(err)
		}
	}
	each := float64(inUse()-before) / n
	t.Logf("%.1f bytes a key of 34", each)
	if each > 90 {
		t.Errorf("%.1f bytes a key of 34 bytes", each)
	}
	runtime.KeepAlive(s)
}
