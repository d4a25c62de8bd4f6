package routing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multihash"
)

// maxBulk is how many keys of a bulk operation are under way at a time, at most: as many as
// there are turns to begin with, so that others have theirs, too. Fewer are where peers
// cannot take so many (turns).
const maxBulk = firstOperations

// Done is what has become of one key of a bulk operation, and how far this has come.
type Done struct {
	// Index is the key's place among those given, Err why it failed, nil if it did not.
	Index  int
	Err    error
	Report Report
	// Finished counts the keys that are through, Failed those among them that failed,
	// Total all.
	Finished, Failed, Total int
}

type progressKey struct{}

// WithProgress returns a context under which ProvideMany, PutMany and FindProvidersMany tell
// told of each key that is through, one at a time. They wait for it.
func WithProgress(ctx context.Context, told func(Done)) context.Context {
	return context.WithValue(ctx, progressKey{}, told)
}

// KeyError is why one key of a bulk operation failed: the one in that place among those given.
type KeyError struct {
	Index int
	Err   error
}

func (e KeyError) Error() string { return fmt.Sprintf("key %d: %v", e.Index, e.Err) }

// Unwrap returns why.
func (e KeyError) Unwrap() error { return e.Err }

// BulkError says which keys of a bulk operation failed, in the order of the keys; all others
// have succeeded. It wraps what each failed with.
type BulkError struct {
	Failed []KeyError
	Total  int
}

func (e *BulkError) Error() string {
	return fmt.Sprintf("kdht: %d of %d keys failed, the first of them, %v", len(e.Failed), e.Total, e.Failed[0])
}

// Unwrap returns what the keys failed with.
func (e *BulkError) Unwrap() []error {
	all := make([]error, len(e.Failed))
	for i := range e.Failed {
		all[i] = e.Failed[i]
	}
	return all
}

// ProvideMany is Provide for each of keys, multihashes, and announces them again every 22
// hours. Keys that are near to each other are announced after each other, so that one is told
// over the connections, and begins where the lookup of the one before has ended. The error is
// a *BulkError if some failed; those that have not begun when ctx ends have failed with its error. See
// WithProgress.
func (d *DHT) ProvideMany(ctx context.Context, keys []multihash.Multihash) error {
	return d.bulk(ctx, placesOf(keys), func(ctx context.Context, i int) error {
		return d.Provide(ctx, cid.NewCidV1(cid.Raw, keys[i]), true)
	})
}

// PutMany is PutValue for each of keys, with the value in the same place of values. Errors
// are as of ProvideMany.
func (d *DHT) PutMany(ctx context.Context, keys []string, values [][]byte, opts ...core.Option) error {
	if len(keys) != len(values) {
		return fmt.Errorf("kdht: %d keys and %d values: give one value for each key", len(keys), len(values))
	}
	return d.bulk(ctx, placesOf(keys), func(ctx context.Context, i int) error {
		return d.PutValue(ctx, keys[i], values[i], opts...)
	})
}

// FindProvidersMany looks for up to count providers of each of keys (0: all there are), and
// tells found each with the place of its key, one at a time and again one whose addresses
// come later. It waits for found. That a key has none is no error. Errors are as of ProvideMany.
func (d *DHT) FindProvidersMany(ctx context.Context, keys []multihash.Multihash, count int, found func(i int, p peer.AddrInfo)) error {
	var one sync.Mutex
	return d.bulk(ctx, placesOf(keys), func(ctx context.Context, i int) error {
		key, err := d.providerKey(cid.NewCidV1(cid.Raw, keys[i]))
		if err != nil {
			return err
		}
		return d.findProviders(ctx, key, max(0, count), func(p peer.AddrInfo) {
			one.Lock()
			defer one.Unlock()
			found(i, p)
		})
	})
}

// spot is where a key lies, and its place among those given.
type spot struct {
	key   keyspace.Key
	index int
}

// placesOf returns where keys lie, in the order of the keyspace.
func placesOf[K ~string | ~[]byte](keys []K) []spot {
	all := make([]spot, len(keys))
	for i, k := range keys {
		all[i] = spot{keyspace.KeyOf([]byte(k)), i}
	}
	slices.SortFunc(all, func(a, b spot) int {
		return cmp.Or(slices.Compare(a.key[:], b.key[:]), cmp.Compare(a.index, b.index))
	})
	return all
}

// bulk runs op for each key, maxBulk at a time, in the order of places. Who has made none of
// them wait: each takes its turn like an operation of its own.
func (d *DHT) bulk(ctx context.Context, places []spot, op func(ctx context.Context, i int) error) error {
	told, _ := ctx.Value(progressKey{}).(func(Done))
	b := &bulk{told: told, total: len(places)}
	ctx = context.WithValue(besideOthers(ctx), finalKey{}, nil)
	var all sync.WaitGroup
	next := make(chan int)
	for range min(maxBulk, len(places)) {
		all.Go(func() {
			for i := range next {
				var r Report
				err := ctx.Err()
				if err == nil {
					err = op(WithReport(ctx, &r), i)
				}
				b.done(i, r, err)
			}
		})
	}
	for _, p := range places {
		next <- p.index
	}
	close(next)
	all.Wait()
	return b.error()
}

// bulk is one bulk operation under way.
type bulk struct {
	told  func(Done) // nil: nobody
	total int

	mu       sync.Mutex // held while told runs: one at a time
	finished int
	failed   []KeyError
}

func (b *bulk) done(i int, r Report, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finished++
	if err != nil {
		b.failed = append(b.failed, KeyError{i, err})
	}
	if b.told != nil {
		b.told(Done{Index: i, Err: err, Report: r, Finished: b.finished, Failed: len(b.failed), Total: b.total})
	}
}

func (b *bulk) error() error {
	if len(b.failed) == 0 {
		return nil
	}
	slices.SortFunc(b.failed, func(x, y KeyError) int { return cmp.Compare(x.Index, y.Index) })
	if err := b.failed[0].Err; len(b.failed) == b.total && b.total > 0 && errors.Is(err, ErrClosed) {
		return ErrClosed
	}
	return &BulkError{Failed: b.failed, Total: b.total}
}
