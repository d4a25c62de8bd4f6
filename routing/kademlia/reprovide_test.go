package kademlia

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// publisher is a member that keeps keys announced, and the store of these.
type publisher struct {
	*member
	keys   []Key // in order
	cursor Cursor
	took   map[string]map[peer.ID][]time.Time // who took which key, and when
	refuse func(to *Contact, n int) (taken int, err error)
	most   int // batches under way at a time
	now    int
	sizes  []int // of batches
	visits []time.Time
	broken error // of readings
}

func testHash(i int) []byte {
	sum := keyspace.KeyOf(binary.BigEndian.AppendUint64([]byte("key"), uint64(i)))
	return append([]byte{0x12, 0x20}, sum[:]...)
}

// publish makes m a publisher of n keys that are all due.
func publish(m *member, n int) *publisher {
	p := &publisher{member: m, took: make(map[string]map[peer.ID][]time.Time)}
	for i := range n {
		p.keys = append(p.keys, Key{Hash: testHash(i), Place: keyspace.KeyOf(testHash(i)), Due: true})
	}
	slices.SortFunc(p.keys, func(a, b Key) int { return a.Place.Compare(&b.Place) })
	p.begin()
	return p
}

func (p *publisher) begin() {
	now := p.world.now
	p.node.SetKeys(now, p, p, p.cursor)
	p.node.KeysDue(now)
	p.touch()
}

// Read implements Keys.
func (p *publisher) Read(id ReadID, first, last keyspace.Key, due bool, most int) {
	var found []Key
	for _, k := range p.keys {
		if k.Place.Compare(&first) >= 0 && k.Place.Compare(&last) <= 0 && (k.Due || !due) && len(found) < most {
			found = append(found, k)
		}
	}
	node := p.node
	p.world.after(time.Millisecond, func() {
		if p.node == node {
			node.HandleKeys(p.world.now, id, found, p.broken)
			p.touch()
		}
	})
}

// Visited implements Keys.
func (p *publisher) Visited(id ReadID, v Visited) {
	p.cursor = v.Cursor
	p.visits = append(p.visits, v.At)
	mark := func(keys []Key, at time.Time) {
		for _, k := range keys {
			i, there := slices.BinarySearchFunc(p.keys, k.Place, func(k Key, place keyspace.Key) int { return k.Place.Compare(&place) })
			if there {
				if p.keys[i].Due = at.IsZero(); !p.keys[i].Due {
					p.keys[i].Last = at
				}
			}
		}
	}
	mark(v.Taken, v.At)
	mark(v.Failed, time.Time{})
	node := p.node
	p.world.after(time.Millisecond, func() {
		if p.node == node {
			node.HandleKeys(p.world.now, id, nil, nil)
			p.touch()
		}
	})
}

// Announce implements Announcer.
func (p *publisher) Announce(id BatchID, to *Contact, self protocol.Peer, keys []Key) {
	w := p.world
	p.now++
	p.most = max(p.most, p.now)
	p.sizes = append(p.sizes, len(keys))
	w.after(40*time.Millisecond, func() {
		p.now--
		taken, err := len(keys), error(nil)
		target := w.members[to.ID]
		switch {
		case target == nil || target.fate == crashed:
			taken, err = 0, protocol.ErrUnreachable
		case p.refuse != nil:
			taken, err = p.refuse(to, len(keys))
		}
		for _, k := range keys[:taken] {
			if p.took[string(k.Hash)] == nil {
				p.took[string(k.Hash)] = make(map[peer.ID][]time.Time)
			}
			p.took[string(k.Hash)][to.ID] = append(p.took[string(k.Hash)][to.ID], w.now)
		}
		p.node.HandleAnnounced(w.now, id, taken, err)
		p.touch()
	})
}

// held returns how many of the k members truly nearest to each key took it, at the least.
func (p *publisher) held(k int) (least int) {
	least = k
	for i := range p.keys {
		hash := p.keys[i].Hash
		n := 0
		for _, id := range p.world.closest(hash, k, p.contact.ID) {
			if len(p.took[string(hash)][id]) > 0 {
				n++
			}
		}
		least = min(least, n)
	}
	return least
}

func (p *publisher) sent() (n int) {
	for _, s := range p.sizes {
		n += s
	}
	return n
}

func (p *publisher) due() (n int) {
	for i := range p.keys {
		if p.keys[i].Due {
			n++
		}
	}
	return n
}

// calmTables keeps tables as they are: the network of these tests does not change by
// itself, and a day of it should take no time.
func calmTables(c *Config) {
	c.Timing = Timing{Refresh: 1000 * time.Hour, Probe: 1000 * time.Hour, Suspect: 1000 * time.Hour}
}

// The same in networks of 3 and of 120: each key goes to its k nearest at once, and then
// once in each period, spread evenly over it, with few requests besides.
func TestReprovide(t *testing.T) {
	for _, size := range []struct{ nodes, keys, k int }{{3, 500, 20}, {20, 9000, 20}, {120, 3000, 20}} {
		t.Run(fmt.Sprintf("%d nodes", size.nodes), func(t *testing.T) {
			w := newWorld(t, 1)
			w.grow(size.nodes, func(c *Config) { calmTables(c); c.K = size.k })
			holders := min(size.k, size.nodes-1)
			p := publish(w.order[size.nodes/2], size.keys)
			w.run(w.now.Add(time.Hour))
			if p.due() > 0 || p.held(holders) < holders*9/10 {
				t.Fatalf("after an hour %d keys are due, one is held by %d of its %d nearest", p.due(), p.held(holders), holders)
			}
			often := 1
			if holders < size.k/2 { // until it is believed that there are no others, out of turn and in it
				often = 4
			}
			if sent := p.sent(); sent > size.keys*holders*often*101/100 {
				t.Errorf("%d announcements of %d keys to %d peers", sent, size.keys, holders)
			}
			if asked := p.node.Reproviding(w.now).Now.Asked; asked > size.nodes*5 {
				t.Errorf("%d requests besides", asked)
			}
			p.wholePeriod(t, holders)
			if p.most > maxTargets {
				t.Errorf("%d peers at a time", p.most)
			}
		})
	}
}

// wholePeriod lets the cycle that begins next come to its end, and checks it.
func (p *publisher) wholePeriod(t *testing.T, holders int) {
	t.Helper()
	w := p.world
	began := p.node.reprovider.cursor.Began
	w.run(began.Add(22*time.Hour + time.Minute))
	clear(p.took)
	p.visits, p.sizes = nil, nil
	w.run(began.Add(44*time.Hour + time.Minute))
	if p.held(holders) < holders*9/10 || p.sent() > len(p.keys)*holders*101/100 {
		t.Errorf("in a period %d announcements, a key is held by %d of its %d nearest", p.sent(), p.held(holders), holders)
	}
	s := p.node.Reproviding(w.now)
	if s.Before.Keys != len(p.keys) || s.Before.Taken != len(p.keys) || s.Before.Failed != 0 {
		t.Errorf("%+v, %d keys", s.Before, len(p.keys))
	}
	if s.Behind > 2*time.Minute {
		t.Errorf("%v behind", s.Behind)
	}
	for i, at := range p.visits { // each part of the cycle has its share
		if late := at.Sub(began.Add(22 * time.Hour)); float64(late) > float64(22*time.Hour)*float64(i+2)/float64(len(p.visits)) {
			t.Errorf("visit %d of %d ended after %v", i, len(p.visits), late)
		}
	}
}

// A tenth of the keys out of turn, the rest in its turn: what was announced a short while
// ago waits for its next turn.
func TestReprovideTakesNoKeyTwice(t *testing.T) {
	w := newWorld(t, 1)
	w.grow(30, calmTables)
	p := publish(w.order[3], 200)
	w.run(w.now.Add(5 * time.Hour)) // what comes in this time was announced out of turn
	for hash, by := range p.took {
		for id, at := range by {
			if len(at) > 1 {
				t.Fatalf("%x was given to %s at %v", hash, id, at)
			}
		}
	}
}

// A peer that refuses for a while gets less at a time, and everything in the end; one that
// is not there is replaced by the next nearest.
func TestReprovideBacksOff(t *testing.T) {
	w := newWorld(t, 1)
	w.grow(40, calmTables)
	p := publish(w.order[0], 300)
	refused := 0
	busy := w.order[7].contact.ID
	p.refuse = func(to *Contact, n int) (int, error) {
		if to.ID == busy && n > 8 {
			refused++
			return 5, protocol.ErrRefused
		}
		return n, nil
	}
	w.run(w.now.Add(30 * time.Minute))
	if refused < 2 || p.held(20) < 20 {
		t.Errorf("refused %d times, a key is held by %d of its 20 nearest", refused, p.held(20))
	}
	for _, n := range []int{5, 9, 23} {
		w.order[n].fate = crashed
	}
	clear(p.took)
	for i := range p.keys {
		p.keys[i].Due = true
	}
	p.node.KeysDue(w.now)
	p.touch()
	w.run(w.now.Add(30 * time.Minute))
	if held := p.held(20); held < 19 || p.due() > 0 {
		t.Errorf("with three gone, a key is held by %d of its 20 nearest, %d are due", held, p.due())
	}
}

// What too few take is tried again until enough do; with nobody there nothing is asked.
func TestReprovideTriesAgain(t *testing.T) {
	w := newWorld(t, 1)
	w.grow(12, calmTables)
	p := publish(w.order[0], 50)
	p.refuse = func(*Contact, int) (int, error) { return 0, protocol.ErrRefused }
	w.run(w.now.Add(time.Hour))
	if p.due() != 50 {
		t.Fatalf("%d keys are due that nobody took", p.due())
	}
	if passes := p.node.Reproviding(w.now).Now.Visits; passes < 3 || passes > 5 {
		t.Errorf("tried in %d visits in an hour, want one at once and after 5, 15, 35 minutes", passes)
	}
	p.refuse = nil
	w.run(w.now.Add(30 * time.Minute))
	if p.due() != 0 || p.held(11) < 11 {
		t.Errorf("%d keys are due, one is held by %d", p.due(), p.held(11))
	}
	p.broken = errors.New("the disk is gone")
	for i := range p.keys {
		p.keys[i].Due = true
	}
	p.node.KeysDue(w.now)
	p.touch()
	w.run(w.now.Add(30 * time.Minute))
	p.broken = nil
	w.run(w.now.Add(10 * time.Minute))
	if p.due() != 0 {
		t.Errorf("%d keys are due after the store could be read again", p.due())
	}
}

// With nobody to tell, keys that are due cost a few attempts and no storm, and they are
// told soon when somebody is there.
func TestReprovideWaitsForPeers(t *testing.T) {
	w := newWorld(t, 1)
	p := publish(w.add(0, calmTables), 100)
	w.run(w.now.Add(24 * time.Hour))
	if w.sent > 0 || p.node.lastQuery > 24*13*2 {
		t.Errorf("%d requests, %d lookups", w.sent, p.node.lastQuery)
	}
	other := w.add(1, calmTables)
	p.node.PeerSeen(w.now, other.contact)
	p.touch()
	w.run(w.now.Add(6 * time.Minute))
	if p.due() != 100 || p.held(1) != 1 {
		t.Errorf("%d keys are due, one is held by %d", p.due(), p.held(1))
	}
	w.run(w.now.Add(20 * time.Minute))
	if p.due() != 0 {
		t.Errorf("%d keys are due though there is nobody else", p.due())
	}
}

// Whoever is stopped in the middle of a cycle goes on where it was, what was announced
// longest ago first, and catches up what it missed.
func TestReprovideResumes(t *testing.T) {
	w := newWorld(t, 1)
	w.grow(60, func(c *Config) { calmTables(c); c.K = 5 })
	p := publish(w.order[0], 400)
	began := w.now
	w.run(began.Add(30 * time.Hour)) // eight into the second cycle
	at, before := p.cursor, slices.Clone(p.keys)
	p.node.reprovider.keys = nil // dead
	clear(p.took)
	w.run(began.Add(54 * time.Hour))
	p.node.reprovider = reprovider{node: p.node, period: 22 * time.Hour}
	p.begin()
	w.run(w.now.Add(time.Hour))
	if p.held(5) < 5 {
		t.Errorf("an hour after a day's break a key is held by %d of its 5 nearest", p.held(5))
	}
	var first *Key
	var when time.Time
	for i := range before {
		for _, times := range p.took[string(before[i].Hash)] {
			if first == nil || times[0].Before(when) {
				first, when = &before[i], times[0]
			}
		}
	}
	offset := func(k *keyspace.Key) uint64 { return prefixOf(k) - prefixOf(&p.contact.Key) }
	if offset(&first.Place) < offset(&at.Next) || offset(&first.Place)-offset(&at.Next) > 1<<60 {
		t.Errorf("began at %x, stood at %x", first.Place[:4], at.Next[:4])
	}
	if s := p.node.Reproviding(w.now); s.Behind > 15*time.Minute || !s.Began.Equal(at.Began.Add(22*time.Hour)) {
		t.Errorf("%+v", s)
	}
}

// Killed after some of a visit, before the cursor moved: keys marked are not sent again.
func TestReprovideResumesWithinAVisit(t *testing.T) {
	w := newWorld(t, 1)
	w.grow(15, calmTables)
	p := publish(w.order[0], 300)
	w.run(w.now.Add(time.Minute))
	clear(p.took)
	p.sizes = nil
	p.cursor = Cursor{Began: w.now.Add(-22 * time.Hour), Next: p.contact.Key} // all of it is late
	p.keys[7].Last = time.Time{}
	p.node.reprovider = reprovider{node: p.node, period: 22 * time.Hour}
	p.begin()
	w.run(w.now.Add(5 * time.Hour))
	if p.sent() < 14 || p.sent() > 20 {
		t.Errorf("%d announcements of one key to 14 peers", p.sent())
	}
}
