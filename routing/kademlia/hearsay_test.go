package kademlia

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
)

// rumour is a node that knows five peers far from a key and looks for that key. There are
// many peers around it.
type rumour struct {
	node  *Node
	line  *line
	near  []*Contact // nearest first
	asked []*Contact
	last  *Contact // answers after the others
}

func newRumour(t testing.TB) *rumour { return rumourOf(t, false, testContact) }

func rumourOf(t testing.TB, dials bool, contact func(uint64) *Contact) *rumour {
	r := &rumour{last: testContact(0)}
	for i := range uint64(500) {
		r.near = append(r.near, contact(1+i))
	}
	target := keyspace.KeyOfString("k")
	slices.SortFunc(r.near, func(a, b *Contact) int { return keyspace.CompareDistance(&target, &a.Key, &b.Key) })
	var connected func(peer.ID) bool
	if dials {
		connected = func(peer.ID) bool { return false }
	}
	r.node, r.line = dialer(t, connected, dials, r.near[495:]...)
	r.node.requests.hearsay = hearsay{kept: leastTried}
	for range enoughSeen {
		r.node.requests.patience.answered(100 * time.Millisecond)
	}
	return r
}

// look looks for the key and has each request answered in turn: with a message, or an
// error. It returns what was found.
func (r *rumour) look(t testing.TB, answer func(n int, to *Contact) (*protocol.Message, error)) (result *Result) {
	r.node.FindNode(epoch, []byte("k"), func(_ time.Time, found Result) { result = &found })
	for sent := r.line.take(); len(sent) > 0; sent = append(sent[1:], r.line.take()...) {
		if sent[0].to.ID == r.last.ID && len(sent) > 1 {
			sent = append(sent[1:], sent[0])
		}
		r.asked = append(r.asked, sent[0].to)
		m, err := answer(len(r.asked), sent[0].to)
		r.node.HandleResponse(epoch.Add(50*time.Millisecond), sent[0].id, m, err)
	}
	if result == nil {
		t.Fatal("nothing is waited for, and the lookup has not ended")
	}
	return result
}

func (r *rumour) exact(t testing.TB, found *Result) {
	t.Helper()
	if !slices.Equal(idsOf(found.Closest), idsOf(r.near[:20])) {
		t.Errorf("%d found, not the 20 nearest", len(found.Closest))
	}
}

// Peers that several of the nearest have named are found without being asked; not if
// somebody fails, if hearsay was worth little before, or if they are to be asked.
func TestHearsayIsBelieved(t *testing.T) {
	all := func(r *rumour) func(int, *Contact) (*protocol.Message, error) {
		return func(int, *Contact) (*protocol.Message, error) { return names(r.near[:20]...), nil }
	}
	r := newRumour(t)
	r.exact(t, r.look(t, all(r)))
	if n := len(r.asked); n < 5+leastConfirmed-1 || n > 16 {
		t.Errorf("%d peers asked", n)
	}
	for name, change := range map[string]func(*Node){
		"strict":              func(n *Node) { n.cfg.Strict = true },
		"paths":               func(n *Node) { n.cfg.Paths = 2 },
		"too little is known": func(n *Node) { n.requests.hearsay.kept-- },
		"one in twenty gone":  func(n *Node) { n.requests.hearsay = hearsay{kept: 190, broken: 10} },
	} {
		r := newRumour(t)
		change(r.node)
		if r.exact(t, r.look(t, all(r))); len(r.asked) < 20 {
			t.Errorf("%s: %d peers asked", name, len(r.asked))
		}
	}
	r = newRumour(t)
	found := r.look(t, func(n int, _ *Contact) (*protocol.Message, error) {
		if n == 3 {
			return nil, protocol.ErrUnreachable
		}
		return names(r.near[:20]...), nil
	})
	if len(r.asked) < 20 || found.Report.Failed.Unreachable != 1 {
		t.Errorf("one has failed: %d peers asked", len(r.asked))
	}
}

// Two liars' word is nobody else's, however often it is given.
func TestHearsayOfTwo(t *testing.T) {
	r := newRumour(t)
	invented := r.near[15:16]
	r.near = slices.Delete(slices.Clone(r.near), 15, 16)
	found := r.look(t, func(n int, to *Contact) (*protocol.Message, error) {
		switch {
		case slices.Contains(idsOf(invented), to.ID):
			return nil, protocol.ErrUnreachable
		case n == 1:
			return names(append(r.near[:19:19], invented...)...), nil
		case n == 2:
			return names(slices.Concat(invented, invented, invented, r.near[:17])...), nil
		}
		return names(r.near[:20]...), nil
	})
	r.exact(t, found)
	for _, c := range invented {
		if !slices.Contains(idsOf(r.asked), c.ID) {
			t.Error("one whom nobody else names was believed in")
		}
	}
}

// The nearest knows best who is there: it is heard before others are believed.
func TestNearestIsHeard(t *testing.T) {
	r := newRumour(t)
	r.last = r.near[0]
	shy := r.near[1]
	r.exact(t, r.look(t, func(_ int, to *Contact) (*protocol.Message, error) {
		if to.ID == r.near[0].ID {
			return names(r.near[:20]...), nil
		}
		return names(slices.DeleteFunc(slices.Clone(r.near[:20]), func(c *Contact) bool { return c == shy })...), nil
	}))
}

// Where a quarter has just died, answers name the dead and not those who come after them:
// these are heard of by asking for keys around the target.
func TestWhoComesAfterTheDead(t *testing.T) {
	w := newWorld(t, 3)
	w.grow(400, func(cfg *Config) { cfg.Strict = true })
	w.run(w.now.Add(10 * time.Minute))
	for _, m := range w.order[1:] {
		if w.rng.IntN(4) == 0 {
			m.fate = hung
		}
	}
	found, wanted := 0, 0
	for i := range 40 {
		m := w.order[w.rng.IntN(len(w.order))]
		if m.fate != alive {
			continue
		}
		key := fmt.Appendf(nil, "key %d", i)
		r := w.await(m, func(done func(time.Time, Result)) { m.node.FindNode(w.now, key, done) })
		closest := idsOf(r.Closest)
		for _, id := range w.closest(key, 20, m.contact.ID) {
			if wanted++; slices.Contains(closest, id) {
				found++
			}
		}
	}
	t.Logf("%d of %d found", found, wanted)
	if found*100 < wanted*99 {
		t.Errorf("%d of %d found, want 99 in a hundred", found, wanted)
	}
}

// Who may not be dialed and is named by too few to be believed in keeps no lookup waiting.
func TestHearsayAndWhoMayNotBeDialed(t *testing.T) {
	r := rumourOf(t, true, func(i uint64) *Contact {
		return NewContact(testID(i), [][]byte{placeAt(byte(20+i/250), byte(i%250), 1, 1, 4001)})
	})
	taken := r.near[0].Peer.Addrs // where another has been dialed
	r.near[12] = NewContact(r.near[12].ID, taken)
	known := slices.Delete(slices.Clone(r.near[:20]), 12, 13)
	found := r.look(t, func(n int, _ *Contact) (*protocol.Message, error) {
		if n < leastVouchers {
			return names(r.near[:20]...), nil
		}
		return names(known...), nil
	})
	if len(found.Closest) != 20 || slices.Contains(idsOf(found.Closest), r.near[12].ID) {
		t.Errorf("%d found, or who was never dialed", len(found.Closest))
	}
}
