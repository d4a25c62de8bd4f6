package sim

import (
	"encoding/binary"
	"slices"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// forgery is a store of identities that an adversary has made beforehand, a number
// each, in the order of their keys. Every id really hashes to its key: nearest to
// any key is whichever of them came out near it, as an attacker with that many
// hashes to spend would have it.
type forgery struct {
	seed uint64
	made index // numbers by key
}

// nobodys is the number of a member that there is not: the ids of a forgery bear
// it where others bear the number of their member.
const nobodys = 1<<32 - 1

// mostForged bounds what is made: a million hashes take some tenths of a second.
const mostForged = 1 << 20

// forge makes n identities.
func forge(seed uint64, n int) forgery {
	type made struct {
		prefix uint64
		number int32
	}
	f := forgery{seed: seed}
	all := make([]made, n)
	for i := range all {
		id := f.raw(int32(i))
		key := keyspace.KeyOf(id[:])
		all[i] = made{prefixOf(&key), int32(i)}
	}
	slices.SortFunc(all, func(a, b made) int {
		if a.prefix < b.prefix {
			return -1
		}
		return int(one(a.prefix > b.prefix))
	})
	f.made = index{prefixes: make([]uint64, n), members: make([]int32, n)}
	for i, m := range all {
		f.made.prefixes[i], f.made.members[i] = m.prefix, m.number
	}
	return f
}

// id returns the id with this number, raw its bytes.
func (f *forgery) id(number int32) peer.ID {
	raw := f.raw(number)
	return peer.ID(raw[:])
}

func (f *forgery) raw(number int32) [34]byte {
	raw := [34]byte{0x12, 0x20}
	binary.BigEndian.PutUint32(raw[2:], nobodys)
	binary.BigEndian.PutUint64(raw[6:], mix(f.seed))
	binary.BigEndian.PutUint32(raw[14:], uint32(number))
	return raw
}

// number returns which identity id is, or -1.
func (f *forgery) number(id peer.ID) int32 {
	if len(id) != 34 || len(f.made.members) == 0 {
		return -1
	}
	n := uint32(id[14])<<24 | uint32(id[15])<<16 | uint32(id[16])<<8 | uint32(id[17])
	if n >= uint32(len(f.made.members)) {
		return -1
	}
	if raw := f.raw(int32(n)); string(raw[:]) != string(id) {
		return -1
	}
	return int32(n)
}

// nearest returns the n identities nearest to key that keep says yes to.
func (f *forgery) nearest(key *keyspace.Key, n int, keep func(int32) bool) []int32 {
	return f.made.appendClosest(make([]int32, 0, n), key, n, keep)
}
