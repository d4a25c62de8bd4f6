package store

// word is one provider record in 8 bytes: the provider's number, when it was last
// announced and since when it is. Both times are cut to their low bits, so they
// are read against a moment that is not before them and less than a cycle after:
// see shard.touch.
type word uint64

const (
	numberBits = 24
	addedBits  = 24 // seconds: a cycle of 194 days
	firstBits  = 16 // units of 64 seconds: a cycle of 48 days
	firstUnit  = 64

	addedMask = 1<<addedBits - 1
	firstMask = 1<<firstBits - 1
	// longestStanding is what a record's standing is told as at most, in units, so
	// that it does not wrap before the record is announced again.
	longestStanding = 1 << (firstBits - 1)
	// maxValidity is the longest validity for which that holds, in seconds.
	maxValidity tick = (longestStanding - 2) * firstUnit
)

func newWord(number uint32, added, first tick) word {
	return word(number)<<(addedBits+firstBits) | word(added&addedMask)<<firstBits | word(first/firstUnit&firstMask)
}

func (w word) number() uint32 { return uint32(w >> (addedBits + firstBits)) }

// added returns when the record was last announced, as seen at the tick at.
func (w word) added(at tick) tick { return at - (at-uint32(w>>firstBits))&addedMask }

// standing returns for how long the record is, in units, as seen at the tick at.
func (w word) standing(at tick) uint32 { return (at/firstUnit - uint32(w)) & firstMask }

// younger reports whether the record has stood for a shorter time than o, or, where
// both began in the same unit, was announced later, as seen at the tick at.
func (w word) younger(o word, at tick) bool {
	if own, other := w.standing(at), o.standing(at); own != other {
		return own < other
	}
	return w.added(at) > o.added(at)
}

// first returns since when the record is, rounded down, as seen at the tick at.
func (w word) first(at tick) tick {
	return min((at/firstUnit-w.standing(at))*firstUnit, w.added(at))
}

// renewed returns the record announced again at t.
func (w word) renewed(t tick) word {
	first := (t/firstUnit - min(w.standing(t), longestStanding)) * firstUnit
	return newWord(w.number(), t, first)
}

// old reports whether the record is too old at t.
func (w word) old(t, validity tick) bool { return t-w.added(t) > validity }
