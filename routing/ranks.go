package routing

import (
	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// rankOfAny is what the connection to any member of the table is worth to the
	// host, the value deployed peers give theirs (wire.md §10), and rankOfRare what is
	// added at most: a bit for each bit that a member shares with us, since few do.
	rankOfAny, rankOfRare = 5, 10
	// farKept buckets are held on to besides the k nearest members: there is one of
	// every half and quarter of the keyspace in them, so who would cut us off from the
	// network must close these connections first (reliability.md T1); when idle, all but a
	// few of them go (farAtHand). maxKept bounds
	// both.
	farKept, maxKept = 2, 64
)

// ranks tells the host what its connections to the members of the table are
// worth. It belongs to the loop.
//
// Invariant: told holds exactly what the host has been told and not untold.
type ranks struct {
	host host.Ranker // nil if the transport is none
	told map[peer.ID]rank
}

// rank is what a connection is worth: see host.Ranker.
type rank struct {
	value int
	keep  bool
}

func newRanks(t host.Transport) *ranks {
	ranker, _ := t.(host.Ranker)
	return &ranks{host: ranker, told: make(map[peer.ID]rank)}
}

// update tells what has changed: view holds all members.
func (r *ranks) update(self *keyspace.Key, view *kademlia.View, k int) {
	if r.host == nil {
		return
	}
	members := view.AppendClosest(nil, self, view.Len())
	worth := make(map[peer.ID]rank, len(members))
	kept := 0
	for i, c := range members {
		prefix := keyspace.CommonPrefixLen(self, &c.Key)
		keep := kept < maxKept && (i < k || prefix < farKept)
		if keep {
			kept++
		}
		worth[c.ID] = rank{rankOfAny + min(prefix, rankOfRare), keep}
	}
	for _, c := range members {
		if w := worth[c.ID]; r.told[c.ID] != w {
			r.host.Rank(c.ID, w.value, w.keep)
		}
	}
	for id := range r.told {
		if _, member := worth[id]; !member {
			r.host.Rank(id, 0, false)
		}
	}
	r.told = worth
}

// connected tells again what the host has forgotten of a peer that was away.
func (r *ranks) connected(p peer.ID) {
	if w, member := r.told[p]; member {
		r.host.Rank(p, w.value, w.keep)
	}
}

// clear takes everything back.
func (r *ranks) clear() {
	for id := range r.told {
		r.host.Rank(id, 0, false)
	}
	clear(r.told)
}
