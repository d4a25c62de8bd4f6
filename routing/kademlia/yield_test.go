package kademlia

import (
	"fmt"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
)

// newcomer is a member that has just learned of its first peer, and the keys of the
// requests it has made since that are not its operations'.
func newcomer(t *testing.T, w *world) (m *member, others func() int) {
	t.Helper()
	m = w.add(uint64(len(w.order)), nil)
	n := 0
	w.sawRequest = func(from *member, req *protocol.Message) {
		if from == m && string(req.Key) != "wanted" {
			n++
		}
	}
	m.node.PeerSeen(w.now, w.order[0].contact)
	m.touch()
	w.runUntil(time.Second, func() bool { return m.node.table.Len() == 1 })
	return m, func() int { return n }
}

// An operation that a node makes as soon as it knows a peer has the node to itself: its
// table is filled afterwards.
func TestTheFirstRoundMakesWay(t *testing.T) {
	w := newWorld(t, 31)
	w.grow(200, nil)
	m, others := newcomer(t, w)
	before := others()
	for range 2 {
		m.node.PeerSeen(w.now, w.order[1+w.rng.IntN(100)].contact) // candidates wait as well
	}
	during := 0
	r := w.await(m, func(done func(time.Time, Result)) {
		m.node.FindNode(w.now, []byte("wanted"), func(now time.Time, r Result) {
			during = others() - before
			done(now, r)
		})
	})
	if r.Err != nil || len(r.Closest) != 20 {
		t.Fatalf("%v, %d peers", r.Err, len(r.Closest))
	}
	if during > 2 { // to the peers that it had begun with
		t.Errorf("%d requests for the table's sake during the operation, which made %d", during, r.Report.Asked)
	}
	w.run(w.now.Add(5 * time.Second))
	if got := m.node.table.Len(); others() == before+during || got < 40 {
		t.Errorf("%d members 5 s later", got)
	}
	if len(m.node.prober.waiting) > 0 || m.node.refresher.running {
		t.Error("something still waits")
	}
}

// A node that is never without an operation has its table filled all the same, though
// nothing else reminds it, and a round that somebody waits for does not wait.
func TestTheFirstRoundMakesWayForAWhile(t *testing.T) {
	for _, asked := range []bool{false, true} {
		t.Run(fmt.Sprint("asked for: ", asked), func(t *testing.T) {
			w := newWorld(t, 32)
			w.grow(200, nil)
			m, others := newcomer(t, w)
			end := w.now.Add(maxYield + 10*time.Second)
			var again func(time.Time, Result)
			again = func(time.Time, Result) {
				if w.now.Before(end) {
					m.node.joint.alone = true // else the cache answers, at once and for ever
					m.node.FindNode(w.now, []byte("wanted"), again)
				}
			}
			again(w.now, Result{})
			if asked {
				m.node.Refresh(w.now, func(time.Time) {})
			}
			m.touch()
			w.run(w.now.Add(maxYield - time.Second))
			early := others()
			w.run(w.now.Add(6 * time.Second))
			switch late := others(); {
			case asked && early < 20:
				t.Errorf("%d requests of a round that somebody waits for", early)
			case !asked && (early > 3 || late < early+10):
				t.Errorf("%d requests for the table's sake while they were to wait, %d later", early, late)
			}
		})
	}
}
