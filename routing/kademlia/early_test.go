package kademlia

import (
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// What is stored is given to those near enough while the walk goes on, to nobody twice, and
// who waits for half of the copies is told once, of no more than have been taken.
func TestStoresBeginBeforeTheWalkEnds(t *testing.T) {
	w := newWorld(t, 40)
	w.grow(150, nil)
	before, extra, halves := 0, 0, 0
	const puts = 40
	for i := range puts {
		m := w.order[w.rng.IntN(len(w.order))]
		rec := protocol.Record{Key: []byte{'/', 'v', '/', byte('A' + i)}, Value: []byte("v")}
		walking := true
		w.sawRequest = func(from *member, req *protocol.Message) {
			if from == m && req.Type == protocol.FindNode && string(req.Key) == string(rec.Key) && !walking {
				before++ // the walk goes on after a copy has left
			}
			if from == m && req.Type == protocol.PutValue {
				walking = false
			}
		}
		var half, whole *Result
		id := m.node.Store(w.now, rec, func(_ time.Time, r Result) { whole = &r })
		m.node.WhenHalf(id, func(_ time.Time, r Result) {
			if half != nil || whole != nil {
				t.Errorf("put %d: told of half of the copies twice, or after the end", i)
			}
			half = &r
			for _, h := range r.Report.Holders {
				if _, found := w.members[h].handlers.Values.(valueMap)[string(rec.Key)]; !found {
					t.Errorf("put %d: %v is named as a holder and has nothing", i, h)
				}
			}
		})
		m.touch()
		w.runUntil(time.Minute, func() bool { return whole != nil })
		if half == nil {
			continue // the 20 nearest looked too near, so that its end was waited for
		}
		if halves++; len(half.Report.Holders) < 10 || !half.Report.Partial || half.Report.Duration > whole.Report.Duration {
			t.Fatalf("put %d: half of the copies: %+v", i, half)
		}
		if whole.Report.Partial || whole.Err != nil {
			t.Errorf("put %d: %+v", i, whole)
		}
		extra += len(whole.Report.Holders) - 20
		if !holdAll(whole.Report.Holders, w.closest(rec.Key, 20, m.contact.ID)) {
			t.Errorf("put %d is not on all of the 20 nearest", i)
		}
		seen := map[peer.ID]bool{}
		for _, h := range whole.Report.Holders {
			if seen[h] {
				t.Errorf("put %d: %v has confirmed twice", i, h)
			}
			seen[h] = true
		}
	}
	times := map[string]int{} // the walk's end makes the record's message anew
	for a, n := range w.asked {
		if copied := string(a.request.Key) + " to " + string(a.to); a.request.Type == protocol.PutValue {
			if times[copied] += n; times[copied] > 1 {
				t.Errorf("%q was given to one peer %d times", a.request.Key, times[copied])
			}
		}
	}
	t.Logf("%d requests of walks after the first copies; %d of %d were told of half, %d copies too many", before, halves, puts, extra)
	if before == 0 || halves < puts/2 || extra > puts {
		t.Error("records are given too late, or to too many")
	}
}

// A network of a few peers has no half of twenty: the caller is told when all is done, and
// nobody is told that half was reached.
func TestStoresAmongFewPeers(t *testing.T) {
	for _, peers := range []int{1, 2, 9} {
		w := newWorld(t, 41)
		w.grow(peers, nil)
		m, half := w.order[0], false
		var whole *Result
		id := m.node.Store(w.now, protocol.Record{Key: []byte("/v/a"), Value: []byte("v")}, func(_ time.Time, r Result) { whole = &r })
		m.node.WhenHalf(id, func(time.Time, Result) { half = true })
		m.touch()
		w.runUntil(time.Minute, func() bool { return whole != nil })
		if half || len(whole.Report.Holders) != peers-1 || (whole.Err == nil) != (peers > 1) {
			t.Errorf("%d peers: half %v, %+v", peers, half, whole)
		}
	}
}

// Who refuses a record is out for good, though it answers the walk afterwards.
func TestRefusalOutlastsAnAnswer(t *testing.T) {
	l := newLookup(testContact(1).Key, 2, 2, 1, []*Contact{testContact(2), testContact(3), testContact(4)})
	first := l.Next()
	l.candidates[0].given = true
	l.Dropped(&first.Key)
	l.Answered(&first.Key, nil)
	if l.count(answered) != 0 || l.slots != 0 {
		t.Errorf("%d have answered, %d slots are in use", l.count(answered), l.slots)
	}
}

// Who could not be given the record where it was said to be has another chance where another
// peer says it is, and its answer there ends its turn.
func TestMovedPeerIsGivenTheRecord(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		moved := NewContact(testID(2), [][]byte{testAddr(9)})
		l := newLookup(testContact(1).Key, 2, 2, 1, []*Contact{testContact(2)})
		first := l.Next()
		l.candidates[0].given, l.candidates[0].gave = true, 1
		l.Failed(&first.Key, true)
		l.Dropped(&first.Key)
		l.add(moved, 2)
		if c := &l.candidates[0]; l.Next() == nil || c.given || c.gave != 0 {
			t.Fatalf("not asked again, or not to be given the record: %+v", c)
		}
		if refuses {
			l.candidates[0].refused = true // what it was given before comes to nothing as late as that
		}
		l.Answered(&first.Key, nil)
		if l.slots != 0 || !l.Done() || l.count(answered) == 0 != refuses {
			t.Errorf("after its answer %d slots are in use, %d have answered", l.slots, l.count(answered))
		}
	}
}

// One who takes the record though the walk has given it up is there.
func TestCopyTakenProvesAPeer(t *testing.T) {
	l := newLookup(testContact(1).Key, 2, 2, 1, []*Contact{testContact(2), testContact(3), testContact(4)})
	first := l.Next()
	l.Failed(&first.Key, false)
	l.took(&first.Key, true)
	if l.count(answered) != 1 || l.held() != 1 {
		t.Errorf("%d have answered, %d hold it", l.count(answered), l.held())
	}
}
