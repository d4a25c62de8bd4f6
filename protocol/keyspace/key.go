// Package keyspace is the 256-bit space in which Kademlia measures distance
// (Maymounkov and Mazières 2002, §2.1; wire.md §4): vocabulary for routing and
// storage alike, without state and without I/O.
//
// Everything that has a place here, a peer, a record key, a provider's
// multihash, gets it by hashing its bytes once with SHA-256.
package keyspace

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"unsafe"
)

// Bits is the length of a key.
const Bits = 256

// Key is a place in the keyspace, most significant bit first.
type Key [Bits / 8]byte

// KeyOf returns the place of what data names: the raw bytes of a peer id, of a
// record key with its namespace, or of a multihash.
func KeyOf(data []byte) Key { return sha256.Sum256(data) }

// KeyOfString is KeyOf for bytes held in a string, as peer ids are.
func KeyOfString(data string) Key {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(data), len(data))) // which only reads
}

// String returns k in hexadecimal.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Bit returns bit i of k, counted from the most significant.
func (k *Key) Bit(i int) byte { return k[i>>3] >> (7 - i&7) & 1 }

// Compare orders keys as 256-bit big-endian integers: -1, 0 or +1.
func (k *Key) Compare(o *Key) int { return bytes.Compare(k[:], o[:]) }

// Distance is the XOR of two keys, itself an integer of 256 bits.
type Distance = Key

// DistanceOf returns the distance between a and b.
func DistanceOf(a, b *Key) (d Distance) {
	for i := 0; i < len(d); i += 8 {
		binary.BigEndian.PutUint64(d[i:], binary.BigEndian.Uint64(a[i:])^binary.BigEndian.Uint64(b[i:]))
	}
	return d
}

// CommonPrefixLen returns how many leading bits a and b share, 256 if equal.
func CommonPrefixLen(a, b *Key) int {
	for i := 0; i < len(a); i += 8 {
		x := binary.BigEndian.Uint64(a[i:]) ^ binary.BigEndian.Uint64(b[i:])
		if x != 0 {
			return i*8 + bits.LeadingZeros64(x)
		}
	}
	return Bits
}

// CompareDistance says which of a and b is nearer to target: -1 if a is, +1 if
// b is, 0 only if a equals b, since no two keys are equally far from a third.
func CompareDistance(target, a, b *Key) int {
	for i := 0; i < len(target); i += 8 {
		x := binary.BigEndian.Uint64(a[i:])
		y := binary.BigEndian.Uint64(b[i:])
		if x == y {
			continue
		}
		t := binary.BigEndian.Uint64(target[i:])
		if x^t < y^t {
			return -1
		}
		return 1
	}
	return 0
}
