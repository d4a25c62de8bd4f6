package store

import "encoding/binary"

// ident is what a key is known by in the index: its distance from this peer, as far
// as the leading 64 bits tell it, and 16 more bits of its place in the keyspace. Two
// keys are taken for one if all of these agree, one in 2^50 or so of those near this
// peer; who can make that happen on purpose could as well announce himself for
// the other key.
type ident struct {
	far   uint64
	check uint16
}

// page holds keys of one stretch of distances, nearest first, each with its
// records, in one piece of memory: for each key its far (8 bytes), its check (2),
// the number of its words (1); then the words of all keys, 8 bytes each.
//
// A key with many records has them in a crowd instead, and one word that says
// which: its number of words is then crowded.
type page struct {
	b           []byte
	keys, words uint16
	chunk       uint32 // where b is: see slabs
}

const (
	keySize  = 8 + 2 + 1
	wordSize = 8
	// maxInline is how many records a key has in a page at most.
	maxInline = 15
	crowded   = 0x80 | 1
	// wordsMask leaves how many words a key has.
	wordsMask = 0x7f
)

func (p *page) used() int          { return keySize*int(p.keys) + wordSize*int(p.words) }
func (p *page) checks() int        { return 8 * int(p.keys) }
func (p *page) counts() int        { return 10 * int(p.keys) }
func (p *page) wordAt(i int) int   { return keySize*int(p.keys) + wordSize*i }
func (p *page) far(i int) uint64   { return binary.LittleEndian.Uint64(p.b[8*i:]) }
func (p *page) count(i int) int    { return int(p.b[p.counts()+i]) & wordsMask }
func (p *page) crowded(i int) bool { return p.b[p.counts()+i] == crowded }
func (p *page) word(i int) word    { return word(binary.LittleEndian.Uint64(p.b[p.wordAt(i):])) }
func (p *page) set(i int, w word)  { binary.LittleEndian.PutUint64(p.b[p.wordAt(i):], uint64(w)) }
func (p *page) check(i int) uint16 { return binary.LittleEndian.Uint16(p.b[p.checks()+2*i:]) }
func (p *page) ident(i int) ident  { return ident{p.far(i), p.check(i)} }

// before reports whether key i comes before id.
func (p *page) before(i int, id ident) bool {
	f := p.far(i)
	return f < id.far || f == id.far && p.check(i) < id.check
}

// find returns where id is or belongs, looking first at guess and then ever farther
// from it: keys lie so evenly that most are a few places away.
func (p *page) find(id ident, guess int) (i int, found bool) {
	lo, hi := 0, int(p.keys)
	if guess = min(guess, hi-1); p.before(guess, id) {
		lo = guess + 1
		for step := 4; lo+step < hi; step *= 2 {
			if !p.before(lo+step, id) {
				hi = lo + step
				break
			}
			lo += step + 1
		}
	} else {
		hi = guess
		for step := 4; hi-step > 0; step *= 2 {
			if p.before(hi-step, id) {
				lo = hi - step + 1
				break
			}
			hi -= step
		}
	}
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if p.before(m, id) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, lo < int(p.keys) && p.ident(lo) == id
}

// start returns the index of the first word of key i: the sum of the counts of
// those before.
func (p *page) start(i int) (sum int) {
	counts := p.b[p.counts():][:i]
	for len(counts) >= 8 {
		w := binary.LittleEndian.Uint64(counts) & 0x7f7f7f7f7f7f7f7f
		w = w&0x00ff00ff00ff00ff + w>>8&0x00ff00ff00ff00ff
		sum += int(w * 0x0001000100010001 >> 48)
		counts = counts[8:]
	}
	for _, c := range counts {
		sum += int(c & wordsMask)
	}
	return sum
}

// insertKey puts a key with one word at index i. There must be room.
func (p *page) insertKey(i int, id ident, w word) {
	at, end := p.start(i), p.used()
	checks, counts, words := p.checks(), p.counts(), p.wordAt(0)
	mid := words + wordSize*at
	b := p.b[:end+keySize+wordSize]
	// From the end on, so that nothing is overwritten before it is moved.
	copy(b[mid+keySize+wordSize:], b[mid:end])
	copy(b[words+keySize:], b[words:mid])
	copy(b[counts+i+11:], b[counts+i:words])
	copy(b[counts+10:], b[counts:counts+i])
	copy(b[checks+2*i+10:], b[checks+2*i:counts])
	copy(b[checks+8:], b[checks:checks+2*i])
	copy(b[8*i+8:], b[8*i:checks])
	p.keys++
	p.words++
	binary.LittleEndian.PutUint64(b[8*i:], id.far)
	binary.LittleEndian.PutUint16(b[p.checks()+2*i:], id.check)
	b[p.counts()+i] = 1
	p.set(at, w)
}

// removeKey takes key i and its words out.
func (p *page) removeKey(i int) {
	n := p.count(i)
	at, end := p.start(i), p.used()
	checks, counts, words := p.checks(), p.counts(), p.wordAt(0)
	mid := words + wordSize*at
	b := p.b[:end]
	copy(b[8*i:], b[8*i+8:checks])
	copy(b[checks-8:], b[checks:checks+2*i])
	copy(b[checks-8+2*i:], b[checks+2*i+2:counts])
	copy(b[counts-10:], b[counts:counts+i])
	copy(b[counts-10+i:], b[counts+i+1:words])
	copy(b[words-keySize:], b[words:mid])
	copy(b[mid-keySize:], b[mid+wordSize*n:])
	p.keys--
	p.words -= uint16(n)
}

// insertWord gives key i, whose words begin at index at, one more. There must be
// room, and it must not have maxInline.
func (p *page) insertWord(i, at int, w word) {
	from, end := p.wordAt(at), p.used()
	b := p.b[:end+wordSize]
	copy(b[from+wordSize:], b[from:end])
	p.words++
	p.b[p.counts()+i]++
	p.set(at, w)
}

// cutWords takes n words of key i out, from index at on. It must have more than n.
func (p *page) cutWords(i, at, n int) {
	from, end := p.wordAt(at), p.used()
	copy(p.b[from:end], p.b[from+wordSize*n:end])
	p.words -= uint16(n)
	p.b[p.counts()+i] -= uint8(n)
}

// cut moves the keys from index i on to an empty page with room for them.
func (p *page) cut(i int, to *page) {
	at := p.start(i)
	keys, words := int(p.keys)-i, int(p.words)-at
	b := append(to.b[:0], p.b[8*i:p.checks()]...)
	b = append(b, p.b[p.checks()+2*i:p.counts()]...)
	b = append(b, p.b[p.counts()+i:p.wordAt(0)]...)
	b = append(b, p.b[p.wordAt(at):p.used()]...)
	to.b, to.keys, to.words = b[:cap(b)], uint16(keys), uint16(words)
	checks, counts, from := p.checks(), p.counts(), p.wordAt(0)
	copy(p.b[8*i:], p.b[checks:checks+2*i])
	copy(p.b[10*i:], p.b[counts:counts+i])
	copy(p.b[keySize*i:], p.b[from:from+wordSize*at])
	p.keys, p.words = uint16(i), uint16(at)
}
