package crawl

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/kdht/kdht/protocol/keyspace"
)

// depth is how many leading bits of a key can be chosen. Parts of a table that are deeper cannot be told apart: with buckets of
// 20, networks of a million peers have none. To find a key for each of the 65,536 beginnings takes some 760,000 hashes.
const depth = 16

// keys makes what to ask for: keys whose hashes begin with given bits. They are found by trying, in an order that the seed says,
// and only as far as they are needed.
//
// Invariant: found[p] is 0 or the number of a preimage whose hash begins with p.
type keys struct {
	stem  [24]byte
	last  uint64
	found map[uint16]uint64
}

func newKeys(rng *rand.Rand) keys {
	k := keys{found: make(map[uint16]uint64)}
	for i := 0; i < len(k.stem); i += 8 {
		binary.BigEndian.PutUint64(k.stem[i:], rng.Uint64())
	}
	return k
}

// preimage returns the n-th of all that are tried.
func (k *keys) preimage(n uint64) []byte {
	return binary.BigEndian.AppendUint64(k.stem[:len(k.stem):len(k.stem)], n)
}

// of returns a preimage whose hash begins with these 16 bits, and the first 32 bits of its hash.
func (k *keys) of(beginning uint16) ([]byte, uint32) {
	for k.found[beginning] == 0 {
		k.last++
		if p := uint16(place(k.preimage(k.last)) >> 16); k.found[p] == 0 {
			k.found[p] = k.last
		}
	}
	key := k.preimage(k.found[beginning])
	return key, place(key)
}

// keyBits is how many bits of a place are kept.
const keyBits = 32

// place returns the first 32 bits of where data lies in the keyspace.
func place[T string | []byte](data T) uint32 {
	key := keyspace.KeyOfString(string(data))
	return binary.BigEndian.Uint32(key[:])
}

// shared returns how many of their first bits two places share.
func shared(a, b uint32) int { return bits.LeadingZeros32(a ^ b) }

// region is the part of the keyspace whose keys begin with the first bits of beginning; the rest of it is zero.
type region struct {
	beginning uint16
	bits      int
	again     bool // it has been asked for in vain
}

// within returns some beginning of a key inside.
func (r region) within(rng *rand.Rand) uint16 {
	return r.beginning | uint16(rng.Uint32N(1<<(depth-r.bits)))
}

// beyond returns what an answer for a key in r leaves of r: the answer tells of all that share more than d bits with the key. ok is
// false if a part is too deep to be asked for.
func (r region) beyond(key uint32, d int) (left []region, ok bool) {
	for i := r.bits; i <= d; i++ {
		if i >= depth {
			return left, false
		}
		left = append(left, region{beginning: uint16(key>>16)&^(1<<(depth-1-i)-1) ^ 1<<(depth-1-i), bits: i + 1})
	}
	return left, true
}
