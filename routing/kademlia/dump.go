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
			info.Waiting += q.spread.waiting()
		}
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b QueryInfo) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// BucketInfo describes one bucket for people.
type BucketInfo struct {
	// Prefix is the number of leading bits its members share with our key.
	Prefix int
	// Peers are the members, least recently seen first, Room how many there can be.
	Peers []EntryInfo
	Room  int
	// Waiting are those who wait for a place, most recently seen last; Replacements is how
	// many they are.
	Waiting      []*Contact
	Replacements int
	// Refreshed is when a lookup last went through its range; zero if never.
	Refreshed time.Time
}

// EntryInfo describes one member for people.
type EntryInfo struct {
	Contact *Contact
	// Seen is when the peer last answered or appeared, Added when it came in.
	Seen, Added time.Time
	// Probing says that its liveness is being checked just now, Doubted that it has failed
	// since it was seen last.
	Probing, Doubted bool
	// Took is about how long its answers take, to a quarter; 0 if that is not known.
	Took time.Duration
}

// info describes all buckets that hold anything.
func (t *Table) info() []BucketInfo {
	var all []BucketInfo
	for p := range t.buckets {
		b := &t.buckets[p]
		if len(b.members) == 0 && len(b.replacements) == 0 {
			continue
		}
		info := BucketInfo{Prefix: p, Room: t.capacity(p), Replacements: len(b.replacements)}
		if b.refreshed != 0 {
			info.Refreshed = b.refreshed.time()
		}
		for i := range b.members {
			info.Peers = append(info.Peers, b.members[i].info())
		}
		for i := range b.replacements {
			info.Waiting = append(info.Waiting, b.replacements[i].contact)
		}
		all = append(all, info)
	}
	return all
}

func (e *entry) info() EntryInfo {
	info := EntryInfo{Contact: e.contact, Seen: e.seen.time(), Added: e.addedAt(), Probing: e.probing, Doubted: e.doubted}
	if e.pace > 0 {
		info.Took = atMost(int(e.pace) - 1)
	}
	return info
}

// SizeSample is what one neighbourhood of the keyspace told of the network's size.
type SizeSample struct {
	At    time.Time
	Peers float64
}

// SizeSamples returns what the last ten minutes told of the network's size, the oldest
// first; our own neighbourhood is not among them.
func (n *Node) SizeSamples(now time.Time) []SizeSample {
	var all []SizeSample
	for i := range n.size.samples {
		if s := &n.size.samples[i]; !s.old(now) {
			all = append(all, SizeSample{time.Unix(int64(s.at), 0).UTC(), float64(s.peers)})
		}
	}
	return all
}
