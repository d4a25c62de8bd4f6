package kademlia

import (
	"cmp"
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
)

// QueryInfo describes an operation under way, for people.
type QueryInfo struct {
	ID QueryID
	// Type is what peers are asked, Key what for.
	Type    protocol.Type
	Key     []byte
	Started time.Time
	// Heard is how many peers the lookup knows of, Asked how many requests have been
	// sent, Answered how many answers have come, Waiting how many are still to come.
	Heard, Asked, Answered, Waiting int
	// Hops is the longest chain of referrals that an answer has come by.
	Hops int
	// Storing says that the walk is over and that the nearest peers are being given a
	// record; Upkeep that no caller waits for it: the table looks about, or another
	// operation does in the region of its key.
	Storing, Upkeep bool
}

// Queries describes the operations under way, in the order in which they began.
func (n *Node) Queries() []QueryInfo {
	all := make([]QueryInfo, 0, len(n.queries))
	for _, q := range n.queries {
		info := QueryInfo{
			ID: q.id, Type: q.request.Type, Key: q.request.Key, Started: q.started, Asked: q.report.Asked, Answered: q.report.Answered,
			Hops: q.report.Hops, Storing: q.spread != nil,
		}
		_, info.Upkeep = q.goal.(*lookAbout)
		if q.lookup != nil {
			info.Heard = len(q.lookup.candidates)
			info.Waiting = q.lookup.count(asking) + q.lookup.count(slow)
		}
		if q.spread != nil {
			info.Waiting += q.spread.inFlight
		}
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b QueryInfo) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
