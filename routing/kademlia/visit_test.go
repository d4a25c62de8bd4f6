package kademlia

import (
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
)

// Whoever begins while most of the network is not there yet, or does not answer, does not
// take the few it finds for all: its keys are told to the others when they are.
func TestVisitBelievesFewOnlyIfNobodyFailed(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first int
		fate  fate
		after time.Duration
	}{{"most are not up", 3, alive, 4 * time.Minute}, {"most hang", 40, hung, 30 * time.Minute}, {"most are gone", 40, crashed, 30 * time.Minute}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.grow(tc.first, calmTables)
			for _, m := range w.order[3:] {
				m.fate = tc.fate
			}
			p := publish(w.order[0], 100)
			w.run(w.now.Add(tc.after))
			if p.due() != len(p.keys) {
				t.Fatalf("%d of %d keys are due, none is held by more than 2", p.due(), len(p.keys))
			}
			for _, m := range w.order[3:] {
				m.fate = alive
				p.node.PeerSeen(w.now, m.contact)
				m.touch()
			}
			if tc.first == 3 {
				w.grow(37, calmTables)
			}
			w.run(w.now.Add(time.Hour))
			if p.due() > 0 || p.held(20) < 18 {
				t.Errorf("%d keys are due, one is held by %d of its 20 nearest", p.due(), p.held(20))
			}
		})
	}
}

// A visit is over when its time is, even if keys that are announced by themselves are not:
// else there would be nothing to wait for and no end.
func TestVisitEndsInTime(t *testing.T) {
	w := newWorld(t, 1)
	w.grow(40, func(c *Config) { calmTables(c); c.Region = RegionAlways })
	p := publish(w.order[0], 20)
	r := &p.node.reprovider
	w.runUntil(time.Minute, func() bool { return r.visit != nil && r.visit.lone == maxAlone })
	r.visit.until = w.now
	p.node.Advance(w.now)
	if next := p.node.NextDeadline(); r.visit != nil || !next.IsZero() && !next.After(w.now) {
		t.Fatalf("at %v a visit is under way that was to end then, with %v next", w.now, next)
	}
	p.touch()
	w.run(w.now.Add(time.Hour))
	if p.due() > 0 {
		t.Errorf("%d keys are due an hour later", p.due())
	}
}

// However many peers are known, a key is offered to each of them at most once.
func TestAnotherEnds(t *testing.T) {
	near := make([]*Contact, 300)
	for i := range near {
		near[i] = testContact(uint64(i))
	}
	d := delivery{next: make([]uint16, 1), by: make(map[*Contact]*target)}
	var got []*Contact
	for p := d.another(0, near); p != nil && len(got) <= len(near); p = d.another(0, near) {
		got = append(got, p)
	}
	if !slices.Equal(got, near) {
		t.Errorf("offered %d times, %d peers are known", len(got), len(near))
	}
}

// The part of the keyspace before the Node's own place is the last of a cycle: without a
// key there the cycle ends when its time is over and not before.
func TestCycleWithoutKeysBeforeOurPlace(t *testing.T) {
	w := newWorld(t, 1)
	w.grow(15, calmTables)
	p := publish(w.order[0], 50)
	p.keys = slices.DeleteFunc(p.keys, func(k Key) bool { return k.Place.Compare(&p.contact.Key) < 0 })
	began := p.node.reprovider.cursor.Began
	for w.now.Before(began.Add(24 * time.Hour)) {
		w.run(w.now.Add(10 * time.Minute))
		if at := p.node.reprovider.cursor.Began; at.After(w.now) {
			t.Fatalf("after %v a cycle has begun that begins after %v", w.now.Sub(began), at.Sub(began))
		}
	}
	if s := p.node.Reproviding(w.now); !s.Began.Equal(began.Add(22 * time.Hour)) {
		t.Errorf("began after %v", s.Began.Sub(began))
	}
}

// A peer that takes nothing in time holds nobody up: a visit ends when enough others hold
// its keys, and for a while the peer gets one try a visit, one at a time.
func TestVisitDoesNotWaitForTheSlow(t *testing.T) {
	w := newWorld(t, 1)
	w.grow(25, calmTables)
	p := publish(w.order[0], 9000) // three visits, of nearly the same peers
	slow, tries := w.order[7].contact.ID, 0
	p.refuse = func(to *Contact, n int) (int, error) {
		if to.ID == slow {
			tries++
			return 0, protocol.ErrTimeout
		}
		return n, nil
	}
	w.run(w.now.Add(30 * time.Second))
	s := p.node.Reproviding(w.now).Now
	if p.due() > 0 || s.Visits < 3 || s.Longest > 20*time.Second {
		t.Errorf("%d keys are due after %d visits, of which one took %v", p.due(), s.Visits, s.Longest)
	}
	if tries < 2 || tries > s.Visits+1 {
		t.Errorf("%d tries in %d visits", tries, s.Visits)
	}
}
