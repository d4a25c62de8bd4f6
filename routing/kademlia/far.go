package kademlia

// MaxFarBuckets bounds Config.FarBuckets: a table of twice as many members is as much
// as can be kept verified.
const MaxFarBuckets = 4096

// capacity returns how many members bucket p holds: k, or, where the far buckets are
// wide, as many as Config.FarBuckets says in the farthest and half as many in each
// next, down to k.
//
// The buckets by the prefix length p hold 1/2^(p+1) of all keys each, so that most
// lookups begin in the first few. One with b members takes a lookup log2(b) bits
// towards its target instead of log2(k): the benefit grows with the logarithm of the
// size, the cost of keeping its members verified with the size (Jimenez, Osmani and
// Knutsson, IEEE P2P 2011, §III, with 128, 64, 32, 16 for a k of 8).
func (t *Table) capacity(p int) int { return max(t.k, t.far>>min(p, 62)) }

// whole returns how many members bucket p has when refreshes in their round so many are
// done with it: all it has room for, but k more in each round at most. A wide bucket is so filled
// over hours by who asks little, at the cost of an ordinary bucket's refresh each time,
// and sooner by whoever's lookups meet peers for it anyway.
func (t *Table) whole(p, round int) int { return min(t.capacity(p), t.k*max(1, round)) }
