package kademlia

import (
	"container/list"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// cacheSize bounds the lookups remembered; each holds at most k pointers.
const cacheSize = 256

// cache remembers how recent lookups ended, so that the next one to the same
// key begins at its end. It holds cacheSize keys at most, the least recently
// used goes first, and nothing is older than ttl.
type cache struct {
	ttl          time.Duration
	byKey        map[keyspace.Key]*list.Element
	recent       *list.List // of *ending, most recently used first
	hits, misses uint64
}

// ending is the end of one lookup.
type ending struct {
	key     keyspace.Key
	closest []*Contact
	expires time.Time
}

func newCache(ttl time.Duration) cache {
	return cache{ttl: ttl}
}

// put remembers the nearest peers that answered a lookup for key. It keeps
// closest.
func (c *cache) put(now time.Time, key *keyspace.Key, closest []*Contact) {
	if c.ttl <= 0 || len(closest) == 0 {
		return
	}
	c.expire(now)
	c.drop(key)
	if c.byKey == nil {
		c.byKey, c.recent = make(map[keyspace.Key]*list.Element), list.New()
	}
	c.byKey[*key] = c.recent.PushFront(&ending{*key, closest, now.Add(c.ttl)})
	if c.recent.Len() > cacheSize {
		c.drop(&c.recent.Back().Value.(*ending).key)
	}
}

// get returns the end of a recent lookup for key, or nil.
func (c *cache) get(now time.Time, key *keyspace.Key) []*Contact {
	e := c.byKey[*key]
	if e == nil {
		c.misses++
		return nil
	}
	end := e.Value.(*ending)
	if !now.Before(end.expires) {
		c.drop(key)
		c.misses++
		return nil
	}
	c.hits++
	c.recent.MoveToFront(e)
	return end.closest
}

// expire forgets what is too old among the least recently used, and its own room
// when nothing is left.
func (c *cache) expire(now time.Time) {
	for len(c.byKey) > 0 {
		end := c.recent.Back().Value.(*ending)
		if now.Before(end.expires) {
			return
		}
		c.drop(&end.key)
	}
	c.byKey, c.recent = nil, nil
}

func (c *cache) drop(key *keyspace.Key) {
	if e := c.byKey[*key]; e != nil {
		c.recent.Remove(e)
		delete(c.byKey, *key)
	}
}
