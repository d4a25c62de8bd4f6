package store

import "slices"

// slabSizes are how large the memory of a page on the heap may be. All are sizes the Go
// runtime allocates without waste.
var slabSizes = [...]int{128, 256, 512, 1024, 1536, 2048, 2304, 2688, 3072, 3456, 4096}

const (
	maxSlab = 4096
	// heapSlabs is up to how many bytes the pages of a shard are on the heap: a small
	// store is one of many in a simulation, or will never be a large one.
	heapSlabs = 128 << 10
	// slack is which part of a page's memory in a chunk is room to grow.
	slack = 16
	// waste is which part of all chunks may be memory that pages have given back.
	waste = 7
)

// slabs is a shard's memory for pages. That of a large one is in chunks beside the heap,
// because Go's collector lets a heap grow to twice what is held before it looks at it. In
// a chunk, memory is handed out from the beginning to the end; what is given back is used
// again when the pages that are left there have moved out.
//
// Invariant: live is the sum of its chunks' and each chunk's that of the pages in it.
type slabs struct {
	arena  *arena
	heap   int     // bytes of pages on the heap
	chunks []chunk // one without memory is not in use
	at     int     // the chunk that memory is handed out from
	held   int     // bytes of all chunks
	live   int     // of these, what pages have
}

type chunk struct {
	mem        []byte
	used, live int // bytes handed out, and not given back
}

// resize gives p memory for need bytes at least, no less than it uses.
func (s *slabs) resize(p *page, need int) {
	old := *p
	s.get(p, need)
	copy(p.b, old.b[:old.used()])
	s.put(&old)
}

// get gives p memory for need bytes at least, in place of what it has.
func (s *slabs) get(p *page, need int) {
	switch {
	case need > maxSlab: // a page that could not be split
		p.b, p.chunk = make([]byte, need), 0
		s.heap += need
	case s.arena == nil || s.heap+maxSlab <= heapSlabs:
		i, _ := slices.BinarySearch(slabSizes[:], need)
		p.b, p.chunk = make([]byte, slabSizes[i]), 0
		s.heap += slabSizes[i]
	default:
		s.cut(p, min(need+need/slack, maxSlab))
	}
}

// cut gives p n bytes of a chunk.
func (s *slabs) cut(p *page, n int) {
	if s.held == 0 || s.chunks[s.at].used+n > chunkSize {
		s.begin()
	}
	c := &s.chunks[s.at]
	p.b, p.chunk = c.mem[c.used:c.used+n:c.used+n], uint32(s.at)+1
	c.used += n
	c.live += n
	s.live += n
}

// begin makes an empty chunk the one that memory is handed out from.
func (s *slabs) begin() {
	before := s.at
	s.at = len(s.chunks)
	for i := range s.chunks {
		if s.chunks[i].mem == nil {
			s.at = i
			break
		}
	}
	if s.at == len(s.chunks) {
		s.chunks = append(s.chunks, chunk{})
	}
	s.chunks[s.at] = chunk{mem: s.arena.get()}
	s.held += chunkSize
	s.settle(before)
}

// put takes the memory of p back, which must not be used any more.
func (s *slabs) put(p *page) {
	if p.chunk == 0 {
		s.heap -= len(p.b)
		return
	}
	i := int(p.chunk) - 1
	s.chunks[i].live -= len(p.b)
	s.live -= len(p.b)
	s.settle(i)
}

// settle gives chunk i back if no page is in it, unless memory is handed out from it.
func (s *slabs) settle(i int) {
	if c := &s.chunks[i]; c.mem != nil && c.live == 0 && i != s.at {
		s.arena.put(c.mem)
		*c = chunk{}
		s.held -= chunkSize
	}
}

// clean moves pages out of chunks that hold few, until not too much is wasted.
func (s *slabs) clean(list []page) {
	for s.held-s.live > s.held/waste+chunkSize {
		least := -1
		for i := range s.chunks {
			if c := &s.chunks[i]; c.mem != nil && i != s.at && (least < 0 || c.live < s.chunks[least].live) {
				least = i
			}
		}
		for i := range list {
			if p := &list[i]; int(p.chunk) == least+1 {
				old := *p
				s.cut(p, len(old.b))
				copy(p.b, old.b)
				s.put(&old)
			}
		}
	}
}

// discard gives everything back; no page may be used any more.
func (s *slabs) discard() {
	for i := range s.chunks {
		if m := s.chunks[i].mem; m != nil {
			s.arena.put(m)
		}
	}
	*s = slabs{arena: s.arena}
}
