package store

import "math/rand/v2"

// providerRecord says that who serves a key: since first, last announced at
// added.
type providerRecord struct {
	who          *provider
	added, first tick
}

func (r *providerRecord) old(t, validity tick) bool { return t > after(r.added, validity) }

// providedKey holds the providers of one key, in no particular order, at most one
// record of each.
type providedKey struct {
	key     string
	records []providerRecord
	where   map[*provider]uint32 // index of each record, nil while there are few
	place
	rank
}

// searched is up to how many records are searched one by one.
const searched = 64

func (k *providedKey) find(who *provider) (int, bool) {
	if k.where != nil {
		i, found := k.where[who]
		return int(i), found
	}
	for i := range k.records {
		if k.records[i].who == who {
			return i, true
		}
	}
	return 0, false
}

func (k *providedKey) append(r providerRecord) {
	k.records = append(k.records, r)
	switch n := len(k.records); {
	case k.where != nil:
		k.where[r.who] = uint32(n - 1)
	case n > searched:
		k.where = make(map[*provider]uint32, 2*n)
		for i := range k.records {
			k.where[k.records[i].who] = uint32(i)
		}
	}
}

// remove forgets record i and returns whose it was.
func (k *providedKey) remove(i int) *provider {
	who, last := k.records[i].who, len(k.records)-1
	k.records[i] = k.records[last]
	k.records[last] = providerRecord{}
	k.records = k.records[:last]
	if k.where != nil {
		delete(k.where, who)
		if i != last {
			k.where[k.records[i].who] = uint32(i)
		}
	}
	if cap(k.records) > 4*searched && last < cap(k.records)/4 {
		k.records = append(make([]providerRecord, 0, cap(k.records)/2), k.records...)
	}
	return who
}

// sampler draws random indexes, for one shard.
type sampler struct {
	rand  rand.PCG
	taken []uint64 // a bit per index, all zero between draws
	drawn []uint32
}

// draw returns m different indexes below n, all if n is smaller, in random order:
// Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", CACM 30:9), then
// a shuffle. The result holds until the next draw. 32 random bits decide each
// step, so some indexes are likelier than others by up to n parts in 2^32.
func (s *sampler) draw(n, m int) []uint32 {
	m = min(m, n)
	if words := (n + 63) / 64; words > len(s.taken) {
		s.taken = make([]uint64, 2*words)
	}
	s.drawn = s.drawn[:0]
	for j := n - m; j < n; j++ {
		r := s.rand.Uint64()
		i := below(uint32(j)+1, uint32(r>>32))
		if s.taken[i/64]&(1<<(i%64)) != 0 {
			i = uint32(j)
		}
		s.taken[i/64] |= 1 << (i % 64)
		// Into a random place of those drawn, whose occupant moves to the end.
		at := below(uint32(len(s.drawn))+1, uint32(r))
		s.drawn = append(s.drawn, i)
		s.drawn[len(s.drawn)-1], s.drawn[at] = s.drawn[at], i
	}
	for _, i := range s.drawn {
		s.taken[i/64] = 0
	}
	return s.drawn
}

// below maps 32 random bits to a number below n.
func below(n, random uint32) uint32 { return uint32(uint64(n) * uint64(random) >> 32) }

// contenders is how many records are drawn to find one to replace.
const contenders = 16

// junior returns the record of a full key that gives way to a new one: one too
// old, else the shortest standing of those drawn. With 16 drawn, 400 newcomers to
// a key of 100 leave about 76 of the old ones in place.
func (s *sampler) junior(k *providedKey, t, validity tick) int {
	best := -1
	for _, i := range s.draw(len(k.records), contenders) {
		c := &k.records[i]
		if c.old(t, validity) {
			return int(i)
		}
		if best < 0 || c.first > k.records[best].first {
			best = int(i)
		}
	}
	return best
}
