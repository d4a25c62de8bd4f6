package host

import (
	"testing"
	"time"
)

// What is said of a connection reaches the host's own book of them, under the
// protocol's name, and is taken back.
func TestRank(t *testing.T) {
	overBoth(t, testRank)
}

func testRank(t *testing.T, listen string) {
	a, b := newNode(t, listen, Config{}), newNode(t, listen, Config{})
	conns, id := a.h.ConnManager(), b.ID()
	if _, ok := a.Origin(id); ok {
		t.Error("the origin of a peer that is not connected")
	}
	if err := a.Connect(t.Context(), b.info()); err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct{ at, of *node }{{a, b}, {b, a}} {
		deadline := time.After(10 * time.Second)
		for ip, ok := e.at.Origin(e.of.ID()); !ok || !ip.IsLoopback(); ip, ok = e.at.Origin(e.of.ID()) {
			select {
			case <-time.After(time.Millisecond): // the other side has yet to see the connection
			case <-deadline:
				t.Fatalf("origin %v, %v", ip, ok)
			}
		}
	}
	tag := string(a.cfg.Protocol)
	a.Rank(id, 7, true)
	if !conns.IsProtected(id, tag) || conns.GetTagInfo(id).Tags[tag] != 7 {
		t.Errorf("protected: %v, tags %v", conns.IsProtected(id, tag), conns.GetTagInfo(id))
	}
	a.Rank(id, 0, false)
	if conns.IsProtected(id, tag) || conns.GetTagInfo(id).Value != 0 {
		t.Error("not taken back")
	}
}
