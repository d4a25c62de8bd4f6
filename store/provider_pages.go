package store

import "slices"

// pages holds the keys of a shard with their records, nearest to this peer first,
// cut into pages.
//
// Invariant: from[i] is a lower bound of the distances in page i and above all in
// the pages before it; from[0] is 0. No page is empty but for a moment, between
// remove and tidy.
type pages struct {
	from   []uint64
	list   []page
	slabs  slabs
	crowds crowds
	cursor int // the page a sweep looks at next
}

// spot is where a key is. It holds until the next change of the pages.
type spot struct {
	page  int
	key   int
	at, n int // its words in the page
	crowd *crowd
}

// len returns how many records the key has.
func (s *spot) len() int {
	if s.crowd != nil {
		return len(s.crowd.words)
	}
	return s.n
}

// pageOf returns the page that a distance belongs to. There must be one.
func (p *pages) pageOf(far uint64) int {
	i, found := slices.BinarySearch(p.from, far)
	if !found {
		i--
	}
	return i
}

// find returns where id is.
func (p *pages) find(id ident) (s spot, found bool) {
	if len(p.list) == 0 {
		return s, false
	}
	s.page = p.pageOf(id.far)
	pg := &p.list[s.page]
	if s.key, found = pg.find(id, p.guess(s.page, id.far)); found {
		p.fill(&s)
	}
	return s, found
}

// guess returns about where in page i a distance is.
func (p *pages) guess(i int, far uint64) int {
	last := p.list[i].far(int(p.list[i].keys) - 1)
	if i+1 < len(p.from) {
		last = p.from[i+1]
	}
	if far >= last {
		return int(p.list[i].keys) - 1
	}
	return int(float64(far-p.from[i]) / float64(last-p.from[i]) * float64(p.list[i].keys))
}

// fill completes a spot whose page and key are set.
func (p *pages) fill(s *spot) {
	pg := &p.list[s.page]
	s.at, s.n = pg.start(s.key), pg.count(s.key)
	s.crowd = nil
	if pg.crowded(s.key) {
		s.crowd = p.crowds.all[pg.word(s.at)]
	}
}

// last returns the key farthest from this peer. There must be one.
func (p *pages) last() (s spot) {
	s.page = len(p.list) - 1
	s.key = int(p.list[s.page].keys) - 1
	p.fill(&s)
	return s
}

func (p *pages) word(s *spot, i int) word {
	if s.crowd != nil {
		return s.crowd.words[i]
	}
	return p.list[s.page].word(s.at + i)
}

func (p *pages) set(s *spot, i int, w word) {
	if s.crowd != nil {
		s.crowd.words[i] = w
		return
	}
	p.list[s.page].set(s.at+i, w)
}

// findNumber returns which of a key's records is the provider's of this number.
func (p *pages) findNumber(s *spot, number uint32) (int, bool) {
	if s.crowd != nil {
		return s.crowd.find(number)
	}
	pg := &p.list[s.page]
	for i := range s.n {
		if pg.word(s.at+i).number() == number {
			return i, true
		}
	}
	return 0, false
}

// add gives the key a record more; s and found are what find says of it.
func (p *pages) add(s spot, found bool, id ident, w word) {
	for p.reserve(s.page) {
		s, found = p.find(id)
	}
	pg := &p.list[s.page]
	switch {
	case !found:
		pg.insertKey(s.key, id, w)
	case s.crowd != nil:
		p.crowds.append(s.crowd, w)
	case s.n < maxInline:
		pg.insertWord(s.key, s.at+s.n, w)
	default:
		words := make([]word, 0, maxInline+1)
		for i := range s.n {
			words = append(words, pg.word(s.at+i))
		}
		pg.cutWords(s.key, s.at, s.n-1)
		pg.set(s.at, word(p.crowds.add(append(words, w))))
		pg.b[pg.counts()+s.key] = crowded
	}
}

// remove takes record i of a key away, and the key with its last one. In place of
// the record the last one of the key stands then.
func (p *pages) remove(s *spot, i int) {
	pg := &p.list[s.page]
	switch {
	case s.len() == 1:
		p.removeKey(s)
	case s.crowd != nil:
		s.crowd.remove(i)
	default:
		pg.set(s.at+i, pg.word(s.at+s.n-1))
		pg.cutWords(s.key, s.at+s.n-1, 1)
		s.n--
	}
}

// removeKey takes a key and all its records away.
func (p *pages) removeKey(s *spot) {
	pg := &p.list[s.page]
	if s.crowd != nil {
		p.crowds.remove(uint32(pg.word(s.at)))
	}
	pg.removeKey(s.key)
}

// reserve makes room in page i for one more key or record, and reports whether keys
// are elsewhere now.
func (p *pages) reserve(i int) (moved bool) {
	const more = keySize + wordSize
	if len(p.list) == 0 {
		p.from, p.list = append(p.from, 0), append(p.list, page{})
		p.slabs.get(&p.list[0], more)
		return false
	}
	pg := &p.list[i]
	need := pg.used() + more
	if need <= len(pg.b) {
		return false
	}
	if need > maxSlab && p.split(i) {
		return true
	}
	p.slabs.resize(pg, need)
	p.slabs.clean(p.list)
	return false
}

// split cuts page i in two of about the same size, unless all its keys are equally
// far.
func (p *pages) split(i int) bool {
	pg := &p.list[i]
	n := int(pg.keys)
	mid := n / 2
	for mid < n && (mid == 0 || pg.far(mid) == pg.far(mid-1)) {
		mid++
	}
	if mid == n {
		return false
	}
	far := pg.far(mid)
	at := pg.start(mid)
	var upper page
	p.slabs.get(&upper, keySize*(n-mid)+wordSize*(int(pg.words)-at))
	pg.cut(mid, &upper)
	p.slabs.resize(pg, pg.used())
	p.list = slices.Insert(p.list, i+1, upper)
	p.from = slices.Insert(p.from, i+1, far)
	return true
}

// tidyEmpty drops page i if it is empty.
func (p *pages) tidyEmpty(i int) {
	if p.list[i].keys == 0 {
		p.slabs.put(&p.list[i])
		p.drop(i)
	}
}

// tidy gives memory of page i back that it no longer needs, and reports whether
// there are other keys in page i now than before.
func (p *pages) tidy(i int) (other bool) {
	pg := &p.list[i]
	if pg.keys == 0 {
		p.tidyEmpty(i)
		return true
	}
	if i+1 < len(p.list) && pg.used()+p.list[i+1].used() <= maxSlab/2 {
		p.join(i)
		other = true
	}
	if pg := &p.list[i]; pg.used() <= len(pg.b)/2 && len(pg.b) > slabSizes[0] {
		p.slabs.resize(pg, pg.used())
	}
	p.slabs.clean(p.list)
	return other
}

// drop takes the empty page i out; the others cover what it did.
func (p *pages) drop(i int) {
	p.list = slices.Delete(p.list, i, i+1)
	p.from = slices.Delete(p.from, i, i+1)
	if len(p.from) > 0 {
		p.from[0] = 0
	}
	if i < p.cursor {
		p.cursor--
	}
}

// join appends the keys of page i+1 to page i.
func (p *pages) join(i int) {
	lo, hi := p.list[i], p.list[i+1]
	both := page{keys: lo.keys + hi.keys, words: lo.words + hi.words}
	p.slabs.get(&both, lo.used()+hi.used())
	k := both.b[:0]
	for _, part := range [...]func(*page) []byte{
		func(p *page) []byte { return p.b[:p.checks()] },
		func(p *page) []byte { return p.b[p.checks():p.counts()] },
		func(p *page) []byte { return p.b[p.counts():p.wordAt(0)] },
		func(p *page) []byte { return p.b[p.wordAt(0):p.used()] },
	} {
		k = append(append(k, part(&lo)...), part(&hi)...)
	}
	p.list[i] = both
	p.slabs.put(&lo)
	p.slabs.put(&hi)
	p.drop(i + 1)
}
