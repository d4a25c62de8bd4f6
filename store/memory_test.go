package store_test

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.KV(t, func(testing.TB) store.KV { return store.NewMemory() })
}

func TestValues(t *testing.T) {
	storetest.Values(t, func(_ testing.TB, rules record.Validator, cfg store.ValuesConfig) store.Values {
		return store.NewValues(store.NewMemory(), rules, cfg)
	})
}

func TestProviders(t *testing.T) {
	storetest.Providers(t, func(_ testing.TB, cfg store.ProvidersConfig) store.Providers {
		return store.NewProviders(cfg)
	})
}

// saved is a KV in a file, just enough of one to show that storetest.Durable can
// be passed: all of it is written when it is closed.
type saved struct {
	*store.Memory
	path string
}

func openSaved(tb testing.TB, dir string) store.KV {
	s := &saved{store.NewMemory(), filepath.Join(dir, "pairs")}
	text, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	for len(text) > 0 {
		var key keyspace.Key
		text = text[copy(key[:], text):]
		n, used := binary.Uvarint(text)
		if err := s.Put(key, text[used:used+int(n)]); err != nil {
			tb.Fatal(err)
		}
		text = text[used+int(n):]
	}
	return s
}

func (s *saved) Close() error {
	var text []byte
	first, last := keyspace.Key{}.Region(0)
	err := s.Range(first, last, func(key keyspace.Key, value []byte) bool {
		text = append(text, key[:]...)
		text = binary.AppendUvarint(text, uint64(len(value)))
		text = append(text, value...)
		return true
	})
	if errors.Is(err, store.ErrClosed) {
		return nil
	}
	return errors.Join(err, os.WriteFile(s.path, text, 0o600), s.Memory.Close())
}

func TestDurable(t *testing.T) { storetest.Durable(t, openSaved) }
