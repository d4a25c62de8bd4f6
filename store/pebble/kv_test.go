package pebble

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/storetest"
)

func mustOpen(tb testing.TB, dir string, cfg Config) *KV {
	tb.Helper()
	kv, err := Open(dir, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return kv
}

func TestConformance(t *testing.T) {
	disk := vfs.NewMem()
	storetest.Durable(t, func(tb testing.TB, dir string) store.KV {
		return mustOpen(tb, dir, Config{FS: disk})
	})
}
