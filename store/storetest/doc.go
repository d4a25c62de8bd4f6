// Package storetest is the conformance suite for what lies behind the interfaces
// of package store: every KV, Values and Providers must pass it.
//
//	func TestKV(t *testing.T) {
//		storetest.KV(t, func(testing.TB) store.KV { return store.NewMemory() })
//	}
//
// Besides scenarios it runs random operations against a model (rapid prints the
// seed that replays a failure). Time is injected, nothing sleeps.
package storetest

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// epoch is when every test begins. It has no monotonic reading, so that moving it
// back means what a wall clock set back means.
var epoch = time.Date(2026, 11, 22, 14, 58, 37, 708978000, time.UTC)

// place returns the i-th of a sequence of places in the keyspace.
func place(i int) keyspace.Key {
	return keyspace.KeyOf(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

// multihash returns the i-th of a sequence of sha2-256 multihashes.
func multihash(i int) []byte {
	sum := place(i)
	return append([]byte{0x12, 0x20}, sum[:]...)
}

// byDistance returns the numbers 0..n-1 of keys ordered by their distance from
// self, nearest first.
func byDistance(self keyspace.Key, n int, keyOf func(i int) []byte) []int {
	numbers := make([]int, n)
	places := make([]keyspace.Key, n)
	for i := range numbers {
		numbers[i], places[i] = i, keyspace.KeyOf(keyOf(i))
	}
	slices.SortFunc(numbers, func(a, b int) int { return keyspace.CompareDistance(&self, &places[a], &places[b]) })
	return numbers
}
