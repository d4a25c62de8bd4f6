package datastore_test

import (
	"context"
	"strings"
	"testing"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	record "github.com/libp2p/go-libp2p-record"

	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/datastore"
	"github.com/kdht/kdht/store/storetest"
)

func open(tb testing.TB, d ds.Datastore) *datastore.KV {
	tb.Helper()
	kv, err := datastore.New(context.Background(), d, "/dht/values")
	if err != nil {
		tb.Fatal(err)
	}
	return kv
}

func newMap() ds.Datastore { return dssync.MutexWrap(ds.NewMapDatastore()) }

func TestConformance(t *testing.T) {
	disks := make(map[string]ds.Datastore) // by directory
	storetest.Durable(t, func(tb testing.TB, dir string) store.KV {
		if disks[dir] == nil {
			disks[dir] = newMap()
		}
		return open(tb, disks[dir])
	})
}

func TestValues(t *testing.T) {
	storetest.Values(t, func(tb testing.TB, rules record.Validator, cfg store.ValuesConfig) store.Values {
		return store.NewValues(open(tb, newMap()), rules, cfg)
	})
}

// TestPrefix: what lies beside the prefix is left alone, what lies below it is refused.
func TestPrefix(t *testing.T) {
	ctx, d := context.Background(), newMap()
	beside := []string{"/dht", "/dht/valuesandmore", "/dht/providers/x", "/other"}
	for _, name := range beside {
		if err := d.Put(ctx, ds.NewKey(name), []byte("somebody else's")); err != nil {
			t.Fatal(err)
		}
	}
	kv := open(t, d)
	if kv.Len() != 0 || kv.Bytes() != 0 {
		t.Errorf("%d pairs of %d bytes in an empty one", kv.Len(), kv.Bytes())
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range beside {
		if b, err := d.Get(ctx, ds.NewKey(name)); err != nil || string(b) != "somebody else's" {
			t.Errorf("%s is %q now, %v", name, b, err)
		}
	}
	if err := d.Put(ctx, ds.NewKey("/dht/values/letter"), []byte("Dear Sir")); err != nil {
		t.Fatal(err)
	}
	if _, err := datastore.New(ctx, d, "/dht/values"); err == nil || !strings.Contains(err.Error(), "name another prefix") {
		t.Errorf("a prefix that is not ours: %v", err)
	}
}
