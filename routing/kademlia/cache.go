package kademlia

import (
	"container/list"
	"math"
	"slices"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
)

// Bounds on what is remembered of lookups.
const (
	cacheSize  = 256     // keys
	cacheBytes = 1 << 20 // of the contacts remembered, each counted with every key it is near to
)

// MaxMissing bounds Timing.Missing: so long a record may be there and not be found, because
// it was not there before.
const MaxMissing = time.Minute

// kind is what records are.
type kind uint8

const (
	ofValues kind = iota
	ofProviders
	kinds
)

// CacheStats counts lookups by what they had of others: of each exactly one of the first
// five is true.
type CacheStats struct {
	// Hits are those answered at once by the nearest peers of a lookup that had just ended;
	// Negative by that one having found nothing; Joined those that were answered with
	// another one under way. Begun are lookups that began at the end of an earlier one,
	// Misses those that had nothing.
	Hits, Negative, Joined, Begun, Misses uint64
	// Invalidated counts what was remembered and was no answer any more before its time,
	// since a peer failed, left or came nearer, or a record was stored by us.
	Invalidated uint64
	// Keys is how many keys something is remembered of, Bytes what that takes.
	Keys, Bytes int
}

// cache remembers how recent lookups ended. For Timing.Fresh their end answers the same
// question; from then on for Timing.Cache the next lookup of the key begins there, and asks
// whether it is true still. What was not found is not looked for again for Timing.Missing.
//
// Invariants: it holds cacheSize keys at most with contacts of cacheBytes, and the least
// recently used goes first; nothing is older than Timing.Cache; an end is an answer only
// while no peer of it is known to have failed or left and none to have come that is nearer
// than the last of them; what we have stored, or are storing, is not missing.
type cache struct {
	timing *Timing
	byKey  map[keyspace.Key]*list.Element
	recent *list.List // of *ending, most recently used first
	newest instant    // when an end was last remembered
	stats  CacheStats
}

// ending is what is remembered of one key.
type ending struct {
	key     keyspace.Key
	closest []*Contact     // may be none
	told    uint64         // a bit of each of closest: was not asked
	far     uint64         // how far the last of them is, the first 64 bits
	size    int            // of closest, in bytes
	at      instant        // when they were found
	until   instant        // when all of this is forgotten
	changed bool           // closest is a beginning, and no answer
	missing [kinds]instant // until when records of a kind are not there; 0: not known
	stored  [kinds]instant // when we last stored one, or began to
}

func newCache(t *Timing) cache { return cache{timing: t} }

// off reports whether nothing is remembered, or shared.
func (c *cache) off() bool { return c.timing.Cache <= 0 }

// find returns what is remembered of key, or nil. It is the most recently used then.
func (c *cache) find(now time.Time, key *keyspace.Key) *ending {
	e := c.byKey[*key]
	if e == nil {
		return nil
	}
	end := e.Value.(*ending)
	if end.until <= instantOf(now) {
		c.drop(key)
		return nil
	}
	c.recent.MoveToFront(e)
	return end
}

// keep returns what is remembered of key, nothing if need be, and has it remembered for
// Timing.Cache from now on.
func (c *cache) keep(now time.Time, key *keyspace.Key) *ending {
	c.expire(now)
	until := instantOf(now).add(c.timing.Cache)
	if end := c.find(now, key); end != nil {
		end.until = until
		return end
	}
	if c.byKey == nil {
		c.byKey, c.recent = make(map[keyspace.Key]*list.Element), list.New()
	}
	end := &ending{key: *key, until: until}
	c.byKey[*key] = c.recent.PushFront(end)
	if c.recent.Len() > cacheSize {
		c.drop(&c.recent.Back().Value.(*ending).key)
	}
	return end
}

// put remembers the peers that a lookup for key has found, all there are if they are not
// k. A bit of told says of each whether others have named it and it was not asked. It keeps
// closest.
func (c *cache) put(now time.Time, key *keyspace.Key, closest []*Contact, told uint64, k int) {
	if c.off() || len(closest) == 0 {
		return
	}
	end := c.keep(now, key)
	size := 0
	for _, o := range closest {
		size += o.size()
	}
	c.stats.Bytes += size - end.size
	end.closest, end.told, end.size, end.at, end.changed = closest, told, size, instantOf(now), false
	if end.far = math.MaxUint64; len(closest) >= k {
		end.far = prefixOf(key) ^ prefixOf(&closest[len(closest)-1].Key)
	}
	c.newest = end.at
	for c.stats.Bytes > cacheBytes && c.recent.Len() > 1 {
		c.drop(&c.recent.Back().Value.(*ending).key)
	}
}

// begin returns where a lookup for key may begin besides the table, or nil: those who have
// answered, since whom others name is dialed on their account.
func (c *cache) begin(now time.Time, key *keyspace.Key) []*Contact {
	if end := c.find(now, key); end != nil && len(end.closest) > 0 && instantOf(now) < end.at.add(c.timing.Cache) {
		c.stats.Begun++
		return end.met()
	}
	c.stats.Misses++
	return nil
}

// beside returns where the lookup has ended whose key is nearest to this one: who looks for
// many keys in the order of the keyspace is next to the one before.
func (c *cache) beside(now time.Time, key *keyspace.Key) []*Contact {
	var best *ending
	for _, e := range c.byKey { // in any order: one is nearest
		end := e.Value.(*ending)
		if len(end.closest) > 0 && instantOf(now) < end.at.add(c.timing.Cache) && (best == nil || keyspace.CompareDistance(key, &end.key, &best.key) < 0) {
			best = end
		}
	}
	if best == nil {
		return nil
	}
	return best.met()
}

// tells notes that one of the nearest to key, whom others have named, is there.
func (c *cache) tells(key *keyspace.Key, from *Contact) {
	e := c.byKey[*key]
	if e == nil {
		return
	}
	end := e.Value.(*ending)
	for i, o := range end.closest {
		if o.Key == from.Key {
			end.told &^= 1 << i
		}
	}
}

// met returns those of the nearest that were asked.
func (e *ending) met() []*Contact {
	if e.told == 0 {
		return e.closest
	}
	met := make([]*Contact, 0, len(e.closest))
	for i, c := range e.closest {
		if e.told>>i&1 == 0 {
			met = append(met, c)
		}
	}
	return met
}

// answer returns the nearest peers to key if they were looked up just now, or nil.
func (c *cache) answer(now time.Time, key *keyspace.Key) []*Contact {
	end := c.find(now, key)
	if end == nil || end.changed || len(end.closest) == 0 || end.at.add(c.timing.Fresh) <= instantOf(now) {
		return nil
	}
	c.stats.Hits++
	return end.closest
}

// lacks reports whether records of a kind were looked for under key just now and are not
// there.
func (c *cache) lacks(now time.Time, key *keyspace.Key, of kind) bool {
	end := c.find(now, key)
	if end == nil || end.missing[of] <= instantOf(now) {
		return false
	}
	c.stats.Negative++
	return true
}

// miss remembers that a lookup begun at some time has found nothing of a kind under key,
// unless we have stored one since.
func (c *cache) miss(now, begun time.Time, key *keyspace.Key, of kind) {
	if c.off() || c.timing.Missing <= 0 {
		return
	}
	if end := c.keep(now, key); end.stored[of] < instantOf(begun) {
		end.missing[of] = instantOf(begun).add(c.timing.Missing)
	}
}

// found notes that there is a record of a kind under key.
func (c *cache) found(key *keyspace.Key, of kind) {
	if e := c.byKey[*key]; e != nil {
		e.Value.(*ending).missing[of] = 0
	}
}

// stores notes that we store a record of a kind under key, or have done so.
func (c *cache) stores(now time.Time, key *keyspace.Key, of kind) {
	if c.off() {
		return
	}
	end := c.keep(now, key)
	if end.missing[of] > instantOf(now) {
		c.stats.Invalidated++
	}
	end.missing[of], end.stored[of] = 0, instantOf(now)
}

// came notes that a peer is there that was not known to be: where it is nearer than the
// last of them, those remembered are not the nearest any more.
func (c *cache) came(now time.Time, o *Contact) {
	if len(c.byKey) == 0 || c.newest.add(c.timing.Fresh) <= instantOf(now) {
		return
	}
	for e := c.recent.Front(); e != nil; e = e.Next() {
		end := e.Value.(*ending)
		if !end.changed && prefixOf(&end.key)^prefixOf(&o.Key) < end.far && among(end.closest, o) < 0 {
			end.changed = true
			c.stats.Invalidated++
		}
	}
}

// lost notes that a peer has failed, or left: it is no beginning, and what it was part of
// no answer.
func (c *cache) lost(key *keyspace.Key) {
	if len(c.byKey) == 0 {
		return
	}
	for e := c.recent.Front(); e != nil; e = e.Next() {
		end := e.Value.(*ending)
		if len(end.closest) == 0 || prefixOf(&end.key)^prefixOf(key) > end.far {
			continue
		}
		if i := slices.IndexFunc(end.closest, func(o *Contact) bool { return o.Key == *key }); i >= 0 {
			if !end.changed {
				end.changed = true
				c.stats.Invalidated++
			}
			end.closest = slices.Delete(slices.Clone(end.closest), i, i+1)
			end.told = end.told&(1<<i-1) | end.told>>(i+1)<<i
		}
	}
}

// expire forgets what is too old among the least recently used, and its own room when
// nothing is left.
func (c *cache) expire(now time.Time) {
	for len(c.byKey) > 0 {
		end := c.recent.Back().Value.(*ending)
		if instantOf(now) < end.until {
			return
		}
		c.drop(&end.key)
	}
	c.byKey, c.recent = nil, nil
}

func (c *cache) drop(key *keyspace.Key) {
	if e := c.byKey[*key]; e != nil {
		c.stats.Bytes -= e.Value.(*ending).size
		c.recent.Remove(e)
		delete(c.byKey, *key)
	}
}
