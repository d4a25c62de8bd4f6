package store

import "math/rand/v2"

// crowd holds the records of a key that has many.
//
// Invariant: every order of them is equally likely, whatever the order in which they
// came and went, so that any stretch of them is a random sample.
type crowd struct {
	words []word
	where map[uint32]uint32 // a provider's number → index, nil while there are few
	asked uint64            // decides where the window of the next answer begins
}

// searched is up to how many records are searched one by one.
const searched = 256

func (c *crowd) find(number uint32) (int, bool) {
	if c.where != nil {
		i, found := c.where[number]
		return int(i), found
	}
	for i, w := range c.words {
		if w.number() == number {
			return i, true
		}
	}
	return 0, false
}

// append adds a record at a place that random decides; whose that was moves to the
// end.
func (c *crowd) append(w word, random uint32) {
	if len(c.words) == cap(c.words) {
		// An eighth more: most crowds stay as they are for long.
		c.words = append(make([]word, 0, len(c.words)+len(c.words)/8+8), c.words...)
	}
	n := len(c.words) + 1
	i := below(uint32(n), random)
	c.words = append(c.words, w)
	moved := c.words[i]
	c.words[i], c.words[n-1] = w, moved
	switch {
	case c.where != nil:
		c.where[moved.number()] = uint32(n - 1)
		c.where[w.number()] = i
	case n > searched:
		c.where = make(map[uint32]uint32, 2*n)
		for i, w := range c.words {
			c.where[w.number()] = uint32(i)
		}
	}
}

func (c *crowd) remove(i int) {
	last := len(c.words) - 1
	gone, moved := c.words[i], c.words[last]
	c.words[i] = moved
	c.words = c.words[:last]
	if c.where != nil {
		delete(c.where, gone.number())
		if i != last {
			c.where[moved.number()] = uint32(i)
		}
		if last < searched/2 {
			c.where = nil
		}
	}
	if cap(c.words) > 4*maxInline && last < cap(c.words)/4 {
		c.words = append(make([]word, 0, cap(c.words)/2), c.words...)
	}
}

const (
	// window is how many records of a large crowd an answer is drawn from, so that what
	// it names is near the processor however large the crowd is. It moves on by one
	// record after every windowStep answers, for to fetch that is what a large crowd costs
	// more than a small one, and so comes to all of them in turn.
	window     = 256
	windowStep = 4
	// fewOfWindow is up to how many records are drawn from it.
	fewOfWindow = window / 4
)

// window returns from how many records an answer of n is drawn, and the index of the
// first of them; after the last one of the crowd comes its first.
func (c *crowd) window(n int) (size, first int) {
	all := len(c.words)
	if n > fewOfWindow || all <= window {
		return all, 0
	}
	c.asked++
	return window, int(c.asked / windowStep % uint64(all))
}

// crowds are those of a shard, by the number that a page has for each.
type crowds struct {
	all    []*crowd
	free   []uint32
	random rand.PCG
}

// append adds a record to one of them.
func (c *crowds) append(to *crowd, w word) { to.append(w, uint32(c.random.Uint64())) }

// add takes a new crowd of these words and returns its number.
func (c *crowds) add(words []word) uint32 {
	x := &crowd{words: make([]word, 0, len(words)+len(words)/4)}
	for _, w := range words {
		c.append(x, w)
	}
	if n := len(c.free); n > 0 {
		i := c.free[n-1]
		c.free = c.free[:n-1]
		c.all[i] = x
		return i
	}
	c.all = append(c.all, x)
	return uint32(len(c.all) - 1)
}

func (c *crowds) remove(i uint32) {
	c.all[i] = nil
	c.free = append(c.free, i)
}
