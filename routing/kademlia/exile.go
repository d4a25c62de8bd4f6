package kademlia

import (
	"slices"
	"time"
)

// Bounds on how members that fell silent are asked again.
const (
	// maxExiles is how many are remembered, the latest.
	maxExiles = 256
	// exilePause is how often one of them is tried while none comes back, twice as
	// long with every round of all up to 16 times as long.
	exilePause = 20 * time.Second
	// exileReply is the same once one has come back.
	exileReply = time.Second
	// exileTries is how often each is tried: a lone one for 48 minutes.
	exileTries = 12
)

// exiles are members that were evicted because they fell silent. Most are gone for
// ever; but if a network falls in two, all of the other half come back at once,
// and nobody who is left could name them (reliability.md P20). So one is tried now
// and then, and when one answers, the next few a second later, twice as many each
// time.
//
// Invariants: an exile is a candidate like any other; it is tried at most
// exileTries times; there is a deadline as long as there are exiles.
type exiles struct {
	node  *Node
	list  []exile // longest untried first
	last  []*Contact
	batch int // how many are tried at a time
	next  time.Time
}

type exile struct {
	contact *Contact
	tries   uint8
}

// add remembers a member that has just been evicted.
func (x *exiles) add(now time.Time, c *Contact) {
	if len(x.list) == 0 {
		x.next, x.batch = now.Add(exilePause), 1
	}
	if len(x.list) == maxExiles {
		x.list = slices.Delete(x.list, 0, 1)
	}
	x.list = append(x.list, exile{contact: c})
}

// admitted notes that a peer has become a member: perhaps one of those tried.
func (x *exiles) admitted(now time.Time, c *Contact) {
	if among(x.last, c) < 0 {
		return
	}
	x.last = nil // the others of the batch are no news
	x.batch = min(2*x.batch, maxProbes/2)
	x.next = earlier(x.next, now.Add(exileReply))
}

func (x *exiles) advance(now time.Time) {
	if len(x.list) == 0 || x.next.After(now) {
		return
	}
	if x.last != nil {
		x.batch = 1 // nobody has come back
	}
	x.try(now)
	if len(x.list) == 0 {
		*x = exiles{node: x.node}
		return
	}
	x.next = now.Add(exilePause << min(x.list[0].tries, 4))
}

// try has the next batch verified.
func (x *exiles) try(now time.Time) {
	x.last = make([]*Contact, 0, x.batch)
	for range len(x.list) {
		if len(x.last) == x.batch {
			return
		}
		e := x.list[0]
		x.list = slices.Delete(x.list, 0, 1)
		if !x.node.table.hasRoom(&e.contact.Key) || x.node.table.contact(&e.contact.Key) != nil {
			continue // others have come, or it is back
		}
		x.node.prober.candidate(now, e.contact)
		x.last = append(x.last, e.contact)
		if e.tries++; e.tries < exileTries {
			x.list = append(x.list, e)
		}
	}
}

func (x *exiles) nextDeadline() time.Time {
	if len(x.list) == 0 {
		return time.Time{}
	}
	return x.next
}
