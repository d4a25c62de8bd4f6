package kademlia

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// exchange is a network of which the test decides every outcome.
type exchange struct {
	open  []RequestID
	to    []*Contact
	asked map[peer.ID]int // probes; lookups of the first refresh go out as well
}

func (x *exchange) Send(id RequestID, to *Contact, req *protocol.Message) {
	x.open, x.to = append(x.open, id), append(x.to, to)
	if string(req.Key) == string(to.ID) {
		x.asked[to.ID]++
	}
}

// seeded returns a node with seeds p1 to pn, and its network.
func seeded(t *testing.T, n int) (*Node, *exchange) {
	x := &exchange{asked: make(map[peer.ID]int)}
	node, err := NewNode(Config{Self: testID(0), Network: x, Rand: rand.New(rand.NewPCG(1, 1)), Timing: Timing{Refresh: -1}})
	if err != nil {
		t.Fatal(err)
	}
	seeds := []*Contact{testContact(0)} // ourselves, which is no seed
	for i := range n {
		seeds = append(seeds, testContact(uint64(i+1)))
	}
	node.Seed(epoch, seeds)
	return node, x
}

// pass lets the node do what is due until the given moment; every request is
// answered or fails at once, as alive says.
func (x *exchange) pass(node *Node, from, until time.Time, alive func(*Contact) bool) {
	for now := from; ; {
		for len(x.open) > 0 {
			id, to := x.open[0], x.to[0]
			x.open, x.to = x.open[1:], x.to[1:]
			if alive(to) {
				node.HandleResponse(now, id, &protocol.Message{CloserPeers: []protocol.Peer{to.Peer}}, nil)
			} else {
				node.HandleResponse(now, id, nil, protocol.ErrUnreachable)
			}
		}
		now = node.NextDeadline()
		if now.IsZero() || now.After(until) {
			return
		}
		node.Advance(now)
	}
}

// A seed is a member only after it has answered, and dead ones never are.
func TestSeedsAreVerified(t *testing.T) {
	node, x := seeded(t, 12)
	if node.View().Len() != 0 || len(x.open) != seedBatch {
		t.Fatalf("%d members before anybody was asked, %d asked", node.View().Len(), len(x.open))
	}
	odd := func(c *Contact) bool { return c.Peer.Addrs[0][4]%2 == 1 }
	x.pass(node, epoch, epoch.Add(10*time.Second), odd)
	if node.View().Len() != 6 || !node.View().Contains(testID(11)) || node.View().Contains(testID(12)) || x.asked[testID(0)] > 0 {
		t.Errorf("%d members, want the six that answered", node.View().Len())
	}
}

// Seeds are asked a few at a time and not all at once, no more than there is room
// for, and each once.
func TestSeedsAreSpreadAndBounded(t *testing.T) {
	node, x := seeded(t, maxSeeds+500)
	if len(node.seeder.seeds) != maxSeeds {
		t.Errorf("%d seeds are kept", len(node.seeder.seeds))
	}
	for now := epoch; now.Before(epoch.Add(5 * time.Second)); now = now.Add(100 * time.Millisecond) {
		node.Advance(now)
		if limit := seedBatch * (1 + int(now.Sub(epoch)/seedPause)); len(x.asked) > limit {
			t.Fatalf("%d seeds asked after %v", len(x.asked), now.Sub(epoch))
		}
		if len(x.open) > maxProbes/2 || len(node.prober.waiting) > 1 {
			t.Fatalf("%d seeds are being asked and %d wait among other candidates", len(x.open), len(node.prober.waiting))
		}
		if now.Sub(epoch) > time.Second { // until then nobody answers
			x.pass(node, now, now, func(*Contact) bool { return true })
		}
	}
	x.pass(node, epoch.Add(5*time.Second), epoch.Add(time.Minute), func(*Contact) bool { return true })
	for p, b := range node.table.buckets {
		if len(b.members) > node.cfg.K || len(b.replacements) > seedBatch {
			t.Errorf("bucket %d has %d members, and %d seeds were asked that had no room in it", p, len(b.members), len(b.replacements))
		}
	}
	if node.View().Len() < 2*node.cfg.K || len(x.asked) > node.View().Len()+seedBatch*len(node.table.buckets) {
		t.Errorf("%d members after %d were asked", node.View().Len(), len(x.asked))
	}
	for id, n := range x.asked {
		if n != 1 {
			t.Fatalf("%x was asked %d times", id, n)
		}
	}
}

// Where nobody answers it may be our own network: all are tried again, until
// somebody does. Then nothing is left to wait for.
func TestSeedsAreTriedAgainAfterAnOutage(t *testing.T) {
	node, x := seeded(t, 20)
	retry := node.cfg.Timing.Retry
	nobody := func(*Contact) bool { return false }
	x.pass(node, epoch, epoch.Add(retry/2), nobody)
	if x.asked[testID(1)] != 1 || x.asked[testID(20)] != 1 || node.NextDeadline().IsZero() {
		t.Fatalf("asked %d and %d times, next at %v", x.asked[testID(1)], x.asked[testID(20)], node.NextDeadline())
	}
	node.Seed(epoch.Add(retry/2), []*Contact{testContact(21)})
	if x.asked[testID(21)] != 1 || x.asked[testID(1)] != 1 {
		t.Errorf("a seed that came later was asked %d times, one that has had its turn %d times", x.asked[testID(21)], x.asked[testID(1)])
	}
	x.pass(node, epoch.Add(retry/2), epoch.Add(3*retry), func(c *Contact) bool { return c.ID == testID(7) })
	if node.View().Len() != 1 || x.asked[testID(20)] != 2 || node.seeder.seeds != nil {
		t.Errorf("%d members, the last seed asked %d times, %d seeds kept", node.View().Len(), x.asked[testID(20)], len(node.seeder.seeds))
	}
}

// Peers that show up by themselves go before seeds.
func TestSeedsGiveWay(t *testing.T) {
	node, x := seeded(t, 40)
	for i := range uint64(20) {
		node.PeerSeen(epoch, testContact(1000+i))
	}
	node.Advance(epoch.Add(seedPause))
	if len(x.asked) != seedBatch {
		t.Fatalf("%d asked", len(x.asked))
	}
	for range seedBatch {
		node.HandleResponse(epoch.Add(seedPause), x.open[0], nil, protocol.ErrUnreachable)
		x.open, x.to = x.open[1:], x.to[1:]
	}
	node.Advance(epoch.Add(2 * seedPause))
	if x.asked[testID(1000)] != 1 || x.asked[testID(seedBatch+1)] != 0 {
		t.Errorf("a newcomer was asked %d times, the ninth seed %d times", x.asked[testID(1000)], x.asked[testID(seedBatch+1)])
	}
}

// The snapshot holds every member once, one of each bucket before the second of
// any, and of a bucket the member seen last first.
func TestSnapshot(t *testing.T) {
	node, x := seeded(t, 300)
	x.pass(node, epoch, epoch.Add(time.Minute), func(*Contact) bool { return true })
	all := node.Snapshot()
	if len(all) != node.View().Len() || len(all) < 60 {
		t.Fatalf("%d contacts of %d members", len(all), node.View().Len())
	}
	turns := make(map[int]int)
	for i, c := range all {
		p := node.table.prefix(&c.Key)
		members := node.table.buckets[p].members
		if turns[p]++; members[len(members)-turns[p]].contact != c {
			t.Errorf("at %d comes a member of bucket %d out of turn", i, p)
		}
		if i > 0 && turns[p] < turns[node.table.prefix(&all[i-1].Key)] {
			t.Errorf("at %d bucket %d has its turn %d after others had the next", i, p, turns[p])
		}
	}
}

// A member that comes back with its old table, and is told of nobody, knows its
// neighbours again half a minute later, though a third of the seeds are gone.
func TestRestartWithOldTable(t *testing.T) {
	w := newWorld(t, 31)
	w.grow(120, nil)
	back := w.order[17]
	saved := back.node.Snapshot()
	back.fate = crashed
	for i, m := range w.order {
		if i%3 == 0 {
			m.fate = crashed
		}
	}
	node, err := NewNode(back.node.cfg)
	if err != nil {
		t.Fatal(err)
	}
	back.node, back.fate, back.wake, back.handlers.View = node, alive, time.Time{}, node.View
	node.Seed(w.now, saved)
	back.touch()
	w.run(w.now.Add(30 * time.Second))
	truth := w.closest([]byte(back.contact.ID), node.cfg.K, back.contact.ID)
	known := idsOf(node.View().AppendClosest(nil, &back.contact.Key, node.cfg.K))
	missed := slices.DeleteFunc(truth, func(id peer.ID) bool { return slices.Contains(known, id) })
	if len(missed) > 1 {
		t.Errorf("%d of the 20 nearest are not known; %d members of %d saved", len(missed), node.View().Len(), len(saved))
	}
	var found Result
	node.FindNode(w.now, []byte("anything"), func(_ time.Time, r Result) { found = r })
	back.touch()
	w.run(w.now.Add(15 * time.Second))
	if found.Err != nil || len(found.Closest) != node.cfg.K {
		t.Errorf("a lookup found %d: %v", len(found.Closest), found.Err)
	}
}
