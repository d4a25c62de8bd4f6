package store

import "math/rand/v2"

// crowd holds the records of a key that has many, in no particular order.
type crowd struct {
	words []word
	where map[uint32]uint32 // a provider's number → index, nil while there are few
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

func (c *crowd) append(w word) {
	if len(c.words) == cap(c.words) {
		// An eighth more: most crowds stay as they are for long.
		c.words = append(make([]word, 0, len(c.words)+len(c.words)/8+8), c.words...)
	}
	c.words = append(c.words, w)
	switch n := len(c.words); {
	case c.where != nil:
		c.where[w.number()] = uint32(n - 1)
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
	// window is how many records of a large crowd its answers are drawn from, so that
	// what they name is near the processor however large the crowd is. They are the
	// first ones, and each answer brings one other among them, drawn from all.
	window = 256
	// fewOfWindow is up to how many records are drawn from it.
	fewOfWindow = window / 4
)

// stir returns how many of the first records an answer of n may be drawn from.
func (c *crowd) stir(n int, random *rand.PCG) int {
	all := len(c.words)
	if n > fewOfWindow || all <= window {
		return all
	}
	r := random.Uint64()
	i, j := below(window, uint32(r)), below(uint32(all), uint32(r>>32))
	c.words[i], c.words[j] = c.words[j], c.words[i]
	if c.where != nil {
		c.where[c.words[i].number()], c.where[c.words[j].number()] = i, j
	}
	return window
}

// crowds are those of a shard, by the number that a page has for each.
type crowds struct {
	all  []*crowd
	free []uint32
}

// add takes a new crowd of these words and returns its number.
func (c *crowds) add(words []word) uint32 {
	x := &crowd{words: words}
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
