package kademlia

import (
	"fmt"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

func TestCacheExpiresAndIsBounded(t *testing.T) {
	c := newCache(time.Minute)
	closest := []*Contact{testContact(1)}
	key := keyspace.KeyOf([]byte("k"))
	c.put(epoch, &key, closest)
	if got := c.get(epoch.Add(59*time.Second), &key); len(got) != 1 {
		t.Error("not remembered for its minute")
	}
	if got := c.get(epoch.Add(time.Minute), &key); got != nil || len(c.byKey) != 0 {
		t.Error("remembered beyond its minute")
	}
	if c.hits != 1 || c.misses != 1 {
		t.Errorf("%d hits, %d misses, want 1 and 1", c.hits, c.misses)
	}
	oldest := keyspace.KeyOf([]byte("0"))
	for i := range cacheSize {
		k := keyspace.KeyOf(fmt.Append(nil, i))
		c.put(epoch, &k, closest)
	}
	c.get(epoch, &oldest) // used again: the next to go is another
	c.put(epoch, &key, closest)
	if len(c.byKey) != cacheSize || c.recent.Len() != cacheSize {
		t.Fatalf("%d keys remembered, bound is %d", len(c.byKey), cacheSize)
	}
	if c.get(epoch, &oldest) == nil {
		t.Error("the one used last was forgotten first")
	}
}
