package routing

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

func multihashes(t *testing.T, n int) (keys []multihash.Multihash) {
	for i := range n {
		keys = append(keys, testCID(t, fmt.Sprint("bulk ", i)).Hash())
	}
	return keys
}

// Many keys are announced, told of one at a time as they are through, kept announced, and
// found by others.
func TestManyProvides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, _ := newWorld(t).overlay(30, withNumbers(t))
		const n = 60
		keys := multihashes(t, n)
		var last Done
		seen, inside := map[int]bool{}, atomic.Int32{}
		ctx := WithProgress(t.Context(), func(p Done) {
			if inside.Add(1) > 1 {
				t.Error("told of two keys at a time")
			}
			if seen[p.Index] || p.Finished != len(seen)+1 || p.Err != nil || len(p.Report.Holders) < 10 || p.Total != n {
				t.Errorf("told %+v after %d keys", p, len(seen))
			}
			seen[p.Index], last = true, p
			inside.Add(-1)
		})
		if err := dhts[2].ProvideMany(ctx, keys); err != nil || last.Finished != n || last.Failed != 0 {
			t.Fatalf("%v, %+v", err, last)
		}
		synctest.Wait()
		if got := dhts[2].Stats().Stored.Providing; got != n {
			t.Errorf("%d keys are kept announced", got)
		}
		found := make([]int, n)
		err := dhts[9].FindProvidersMany(t.Context(), keys, 1, func(i int, p peer.AddrInfo) {
			if p.ID == dhts[2].ID() {
				found[i]++
			}
		})
		for i, times := range found {
			if times == 0 || err != nil {
				t.Errorf("key %d was found %d times, %v", i, times, err)
			}
		}
	})
}

// What fails fails by itself: the error names the keys, and all others have succeeded.
func TestManyPutsOfWhichSomeFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, _ := newWorld(t).overlay(30, withNumbers(t))
		keys, values := []string{"/v/a", "/none/b", "/v/c", ""}, [][]byte{[]byte("1"), []byte("1"), []byte("2"), nil}
		var last Done
		err := dhts[2].PutMany(WithProgress(t.Context(), func(p Done) { last = p }), keys, values)
		var failed *BulkError
		if !errors.As(err, &failed) || len(failed.Failed) != 2 || failed.Failed[0].Index != 1 || failed.Failed[1].Index != 3 || failed.Total != 4 || last.Failed != 2 || last.Finished != 4 {
			t.Fatalf("%v, %+v", err, last)
		}
		if !errors.Is(err, ErrNotSupported) {
			t.Errorf("%v does not say that a namespace is not known", err)
		}
		for i, key := range keys[:3] {
			value, err := dhts[9].GetValue(t.Context(), key)
			if i != 1 && (err != nil || string(value) != string(values[i])) {
				t.Errorf("%s: %q, %v", key, value, err)
			}
		}
		if err := dhts[2].PutMany(t.Context(), keys, nil); err == nil {
			t.Error("keys without values were put")
		}
		if err := dhts[2].ProvideMany(t.Context(), nil); err != nil {
			t.Errorf("nothing: %v", err)
		}
	})
}

// When the context ends the keys that have not begun fail with its error, and when the DHT is
// closed all of them do.
func TestManyProvidesCalledOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, _ := newWorld(t).overlay(30, withNumbers(t))
		keys := multihashes(t, 100)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ctx = WithProgress(ctx, func(p Done) {
			if p.Finished == 20 {
				cancel()
			}
		})
		err := dhts[2].ProvideMany(ctx, keys)
		var failed *BulkError
		if !errors.As(err, &failed) || !errors.Is(err, context.Canceled) || len(failed.Failed) < 100-20-2*maxBulk || len(failed.Failed) > 80 {
			t.Errorf("%v", err)
		}
		if err := dhts[2].Close(); err != nil {
			t.Fatal(err)
		}
		if err := dhts[2].ProvideMany(t.Context(), keys); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}
