package kademlia

import (
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// Of members that know as much of the target the fastest is asked first.
func TestFastestFirst(t *testing.T) {
	n, l := dialer(t, nil, false)
	n.cfg.Alpha = 1
	target := keyspace.KeyOfString("k")
	var alike []*Contact // they share no bit with the target
	for i := uint64(1); len(alike) < 5; i++ {
		if c := testContact(i); keyspace.CommonPrefixLen(&target, &c.Key) == 0 && n.table.insert(epoch, c) {
			alike = append(alike, c)
		}
	}
	for i, c := range alike {
		n.table.find(&c.Key).pace.note([]time.Duration{80, 40, 20, 160, 320}[i] * time.Millisecond)
	}
	n.FindNode(epoch, []byte("k"), nil)
	for _, want := range []int{2, 1, 0, 3, 4} {
		sent := l.take()
		if len(sent) != 1 || sent[0].to != alike[want] {
			t.Fatalf("%d asked, want number %d", len(sent), want)
		}
		n.HandleResponse(epoch, sent[0].id, &protocol.Message{}, nil)
	}
}

// One slow answer says little, one fast answer all.
func TestPace(t *testing.T) {
	var p pace
	if p.before(1) || !pace(1).before(p) {
		t.Error("who has never answered is held to be fast")
	}
	p.note(200 * time.Millisecond)
	slow := p
	p.note(20 * time.Millisecond)
	fast := p
	p.note(200 * time.Millisecond)
	if !fast.before(slow) || p != fast+1 {
		t.Errorf("paces %d, %d, then %d", slow, fast, p)
	}
}
