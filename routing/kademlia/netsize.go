package kademlia

import (
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

const (
	// maxSamples is how many neighbourhoods are remembered for the size of the network,
	// sampleLife for how long: networks grow, and are cut.
	maxSamples = 16
	sampleLife = 10 * time.Minute
)

// netSize is what others tell of the size of the network, knowing it or not. Peers lie
// in the keyspace as if thrown at random, so that the k-th nearest to a random key is
// k/N of the space away: each lookup of ours that has run to its end is a sample of N,
// with a deviation of 1/sqrt(k). So is our own neighbourhood, which the table knows,
// and that of a member, which it names when it is probed.
//
// Invariant: no two samples are of the same key, and a member has one of its own, so
// that nobody decides alone what we think.
type netSize struct {
	samples []sample // the latest last, maxSamples at most
}

// sample is what one key's neighbourhood tells.
type sample struct {
	at     uint32 // seconds since 1970
	target uint32 // the first 32 bits of the key
	peers  float32
}

// note takes in how many peers there are to judge by the neighbourhood of target.
func (s *netSize) note(now time.Time, target *keyspace.Key, peers float64) {
	key := uint32(prefixOf(target) >> 32)
	s.samples = slices.DeleteFunc(s.samples, func(o sample) bool { return o.target == key || o.old(now) })
	if len(s.samples) == maxSamples {
		s.samples = slices.Delete(s.samples, 0, 1)
	}
	s.samples = append(s.samples, sample{uint32(now.Unix()), key, float32(peers)})
}

func (s *sample) old(now time.Time) bool {
	return uint32(now.Unix())-s.at > uint32(sampleLife.Seconds())
}

// surroundings takes in whom a peer has named as its nearest when it was probed, if
// there is need for more samples, if it is a member, which not everybody can become who
// comes to us, and if it is far from us: those near to us live where we do, and whoever
// crowds our neighbourhood is to speak for it alone.
func (n *Node) surroundings(now time.Time, of *keyspace.Key, named []protocol.Peer) {
	s := &n.size
	if k := n.cfg.K; n.table.prefix(of) < farBuckets && len(named) >= k && k > 1 && n.table.contact(of) != nil && (len(s.samples) < maxSamples || s.samples[0].old(now)) {
		far := uint64(0)
		for i := range named[:k] {
			_, key := n.shared(&named[i])
			far = max(far, prefixOf(of)^prefixOf(&key))
		}
		s.note(now, of, peersWithin(k, far))
	}
}

// peersWithin returns how many peers a network has of which the k-th nearest to a key
// is so far away: (k-1)/d is right on the average, k/d is not.
func peersWithin(k int, far uint64) float64 { return float64(k-1) / share(far) }

// share returns the share of the keyspace that lies within a distance, given by its
// first 64 bits.
func share(far uint64) float64 { return (float64(far) + 1) / (1 << 64) }

// NetworkSize returns how many peers the network has besides us, as far as one can
// tell from our neighbourhood and from what was looked up or told in the last
// ten minutes, and how many samples that is the median of: of one it is off by a quarter,
// of ten by a tenth. It counts those that serve and are up, 0 where nobody is known.
func (n *Node) NetworkSize(now time.Time) (peers float64, samples int) {
	all := n.sizes(now)
	if len(all) == 0 {
		return 0, 0
	}
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, len(all)
}

// leastSize returns how many peers the network has at the least, 0 where nobody is
// known: three in four samples say more. Whoever crowds neighbourhoods makes the
// network look larger than it is, and a crowd next to a key look sparse; only peers
// that lie make it look smaller, which costs requests.
func (n *Node) leastSize(now time.Time) float64 {
	all := n.sizes(now)
	if len(all) == 0 {
		return 0
	}
	return all[(len(all)-1)/4]
}

// leastSamples is how many samples make it known how large the network is at the most.
const leastSamples = 4

// mostSize returns how many peers the network has at the most: three in four samples say
// fewer, and our own neighbourhood, which is never out of date, no more. 0 if they are too few
// to tell.
func (n *Node) mostSize(now time.Time) float64 {
	all := n.sizes(now)
	if len(all) < leastSamples {
		return 0
	}
	return max(all[3*(len(all)-1)/4], n.sizeAround(), float64(n.table.View().Len()))
}

// sizes returns what each sample says, the least first.
func (n *Node) sizes(now time.Time) []float64 {
	all := make([]float64, 0, maxSamples+1)
	if own := n.sizeAround(); own > 0 {
		all = append(all, own)
	}
	for i := range n.size.samples {
		if s := &n.size.samples[i]; !s.old(now) {
			all = append(all, float64(s.peers))
		}
	}
	slices.Sort(all)
	return all
}

// sizeAround returns what our own neighbourhood says, 0 if there is none. That is never
// out of date: who joins near to us comes by.
func (n *Node) sizeAround() float64 {
	near := n.table.View().AppendClosest(make([]*Contact, 0, maxReplicas), &n.self.Key, n.cfg.K)
	if len(near) < n.cfg.K || len(near) < 2 {
		return float64(len(near))
	}
	last := near[len(near)-1]
	return max(float64(len(near)), peersWithin(len(near), prefixOf(&n.self.Key)^prefixOf(&last.Key)))
}

// sparsest says where k peers are taken for made to sit there: where chance would put
// fewer than this share of them. It puts twenty where six are to be expected once in
// 190,000 times, and once in 47 if the network is twice as large as we think it is. The
// nearest honest peer lies beyond the space of six once in 400 times, and only then do
// identities that are all nearer than it take so much.
const sparsest = 0.3

// fewest is the least k of which chance can be told from purpose.
const fewest = 8

// dense reports whether k peers within this distance of a key are more than chance
// would have put there in a network of so many: identities that somebody has made to
// sit next to it (reliability.md T2, P11).
func dense(peers float64, k int, far uint64) bool {
	return k >= fewest && peers*share(far) < sparsest*float64(k)
}
