package store

import "math/rand/v2"

// sampler draws random indexes, for one shard.
type sampler struct {
	rand  rand.PCG
	taken []uint64 // a bit per index, all zero between draws
	drawn []uint32
}

// sample returns the indexes of n of a key's records, all if it has fewer, in random
// order. The result holds until the next draw.
func (s *sampler) sample(k *spot, n int) []uint32 {
	size, first := k.len(), 0
	if k.crowd != nil {
		size, first = k.crowd.window(n)
	}
	drawn := s.draw(size, n)
	if first > 0 {
		for j, i := range drawn {
			if i += uint32(first); int(i) >= k.len() {
				i -= uint32(k.len())
			}
			drawn[j] = i
		}
	}
	return drawn
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
