package pebble

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	rules "github.com/libp2p/go-libp2p-record"

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

// TestValues: a ValueStore on it does what one in memory does.
func TestValues(t *testing.T) {
	disk := vfs.NewMem()
	storetest.Values(t, func(tb testing.TB, judge rules.Validator, cfg store.ValuesConfig) store.Values {
		return store.NewValues(mustOpen(tb, tb.TempDir(), Config{FS: disk}), judge, cfg)
	})
}

func TestConformance(t *testing.T) {
	disk := vfs.NewMem()
	storetest.Filed(t, func(tb testing.TB, dir string, uptime func() (string, time.Duration)) store.Filed {
		return mustOpen(tb, dir, Config{FS: disk, Uptime: uptime})
	})
}
