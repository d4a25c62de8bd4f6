// Package datastore makes a store.KV of a go-datastore, for a program that has one and
// wants its records there.
//
//	kv, err := datastore.New(ctx, ds, "/dht/values")
//	values := store.NewValues(kv, rules, store.ValuesConfig{Self: self})
//	err = values.Load(time.Now())
//
// How fast it is, and what survives a crash, is the datastore's matter; so is closing it.
// Package pebble needs less memory and starts faster: a datastore keeps no index for us, so
// that the records are read once at a start, and their index held in memory.
//
// Invariant: under the prefix there is nothing but pairs, each under a key of two parts, the
// first byte of its place in the keyspace and the rest, in hexadecimal.
package datastore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/store"
)

// stripes is how many locks order changes of one key.
const stripes = 64

// KV is a store.KV in a datastore. It is safe for concurrent use if the datastore is.
type KV struct {
	ds     ds.Datastore
	prefix ds.Key

	stripes [stripes]sync.Mutex // held while a key and the counts change together
	size    atomic.Int64
	bytes   atomic.Int64
	closed  atomic.Bool
}

var _ store.KV = (*KV)(nil)

// New returns the KV that is kept under prefix, which nothing else uses. It lists the keys
// there once, to count them.
func New(ctx context.Context, d ds.Datastore, prefix string) (*KV, error) {
	kv := &KV{ds: d, prefix: ds.NewKey(prefix)}
	found, err := d.Query(ctx, query.Query{Prefix: kv.prefix.String(), KeysOnly: true})
	if err != nil {
		return nil, fmt.Errorf("store: listing the datastore: %w", err)
	}
	defer found.Close() //nolint:errcheck // only read
	for r := range found.Next() {
		if r.Error != nil {
			return nil, fmt.Errorf("store: listing the datastore: %w", r.Error)
		}
		if _, ok := kv.parse(r.Key); !ok {
			return nil, fmt.Errorf("store: %s is in the datastore, where only records should be: name another prefix", r.Key)
		}
		size, err := d.GetSize(ctx, ds.RawKey(r.Key))
		if err != nil {
			return nil, fmt.Errorf("store: listing the datastore: %w", err)
		}
		kv.size.Add(1)
		kv.bytes.Add(int64(size))
	}
	return kv, nil
}

// Get implements store.KV.
func (kv *KV) Get(key keyspace.Key) (value []byte, found bool, err error) {
	if kv.closed.Load() {
		return nil, false, store.ErrClosed
	}
	value, err = kv.ds.Get(context.Background(), kv.key(&key))
	if errors.Is(err, ds.ErrNotFound) {
		return nil, false, nil
	}
	return value, err == nil, err
}

// Put implements store.KV.
func (kv *KV) Put(key keyspace.Key, value []byte) error {
	return kv.change(&key, func(ctx context.Context, k ds.Key, old int) error {
		if err := kv.ds.Put(ctx, k, value); err != nil {
			return err
		}
		kv.count(old, -1)
		kv.count(len(value), 1)
		return nil
	})
}

// Delete implements store.KV.
func (kv *KV) Delete(key keyspace.Key) error {
	return kv.change(&key, func(ctx context.Context, k ds.Key, old int) error {
		if old < 0 {
			return nil
		}
		if err := kv.ds.Delete(ctx, k); err != nil {
			return err
		}
		kv.count(old, -1)
		return nil
	})
}

// change runs do for one key with the length of its value, -1 if there is none.
func (kv *KV) change(key *keyspace.Key, do func(ctx context.Context, k ds.Key, old int) error) error {
	stripe := &kv.stripes[key[len(key)-1]%stripes]
	stripe.Lock()
	defer stripe.Unlock()
	if kv.closed.Load() {
		return store.ErrClosed
	}
	ctx, k := context.Background(), kv.key(key)
	old, err := kv.ds.GetSize(ctx, k)
	if errors.Is(err, ds.ErrNotFound) {
		old, err = -1, nil
	}
	if err != nil {
		return err
	}
	return do(ctx, k, old)
}

// count adds or takes away a pair of so many bytes; there is none if they are negative.
func (kv *KV) count(bytes, sign int) {
	if bytes >= 0 {
		kv.size.Add(int64(sign))
		kv.bytes.Add(int64(sign * bytes))
	}
}

// Range implements store.KV. It lists the keys by their first byte, a 256th of all at a
// time, because few datastores know ranges.
func (kv *KV) Range(first, last keyspace.Key, fn func(key keyspace.Key, value []byte) bool) error {
	for b := int(first[0]); b <= int(last[0]); b++ {
		keys, err := kv.list(byte(b))
		if err != nil {
			return err
		}
		for i := range keys {
			if keys[i].Compare(&first) < 0 || keys[i].Compare(&last) > 0 {
				continue
			}
			value, found, err := kv.Get(keys[i])
			if err != nil {
				return err
			}
			if found && !fn(keys[i], value) {
				return nil
			}
		}
	}
	return nil
}

// list returns the keys with this first byte in order.
func (kv *KV) list(b byte) ([]keyspace.Key, error) {
	if kv.closed.Load() {
		return nil, store.ErrClosed
	}
	dir := kv.prefix.ChildString(hex.EncodeToString([]byte{b}))
	found, err := kv.ds.Query(context.Background(), query.Query{Prefix: dir.String(), KeysOnly: true})
	if err != nil {
		return nil, err
	}
	defer found.Close() //nolint:errcheck // only read
	var keys []keyspace.Key
	for r := range found.Next() {
		if r.Error != nil {
			return nil, r.Error
		}
		if key, ok := kv.parse(r.Key); ok {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b keyspace.Key) int { return a.Compare(&b) })
	return keys, nil
}

// Sync implements store.KV.
func (kv *KV) Sync() error {
	if kv.closed.Load() {
		return store.ErrClosed
	}
	return kv.ds.Sync(context.Background(), kv.prefix)
}

// Len implements store.KV.
func (kv *KV) Len() int { return int(kv.size.Load()) }

// Bytes implements store.KV.
func (kv *KV) Bytes() int64 { return kv.bytes.Load() }

// Close implements store.KV, but leaves the datastore open: that is whose it is to close.
func (kv *KV) Close() error {
	err := kv.Sync()
	if kv.closed.Swap(true) {
		return nil
	}
	return err
}

// key returns the name of key's value.
func (kv *KV) key(key *keyspace.Key) ds.Key {
	text := hex.EncodeToString(key[:])
	return ds.RawKey(kv.dir() + "/" + text[:2] + "/" + text[2:])
}

// dir is the prefix without a slash at its end.
func (kv *KV) dir() string {
	if s := kv.prefix.String(); s != "/" {
		return s
	}
	return ""
}

// parse returns the key whose value has this name.
func (kv *KV) parse(name string) (key keyspace.Key, ok bool) {
	dir := kv.dir()
	if len(name) != len(dir)+2+2*len(key) || name[:len(dir)] != dir {
		return key, false
	}
	name = name[len(dir):]
	if name[0] != '/' || name[3] != '/' {
		return key, false
	}
	_, err := hex.Decode(key[:], []byte(name[1:3]+name[4:]))
	return key, err == nil
}
