package routing

import (
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol/keyspace"
	corehost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// told is a Transport that writes down what it is told of its connections.
type told struct {
	*fake
	ranks map[peer.ID]rank // the loop's
	calls int
}

func (t *told) Rank(p peer.ID, value int, keep bool) {
	t.calls++
	if value == 0 && !keep {
		delete(t.ranks, p)
		return
	}
	t.ranks[p] = rank{value, keep}
}

// The host is told of every member and of nobody else, and of each once, whatever
// comes and goes; the nearest and one for each far part of the keyspace are kept.
func TestRanks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, fakes := w.overlay(12, Config{})
		at := &told{fake: w.add(), ranks: make(map[peer.ID]rank)}
		d, err := newDHT(at, fakeStreams{at.fake}, Config{K: 4, BootstrapPeers: []peer.AddrInfo{fakes[0].info()}})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		agree := func(when string) {
			t.Helper()
			synctest.Wait()
			self, view := &d.loop.node.Self().Key, d.loop.node.View()
			want := make(map[peer.ID]rank)
			for i, c := range view.AppendClosest(nil, self, view.Len()) {
				prefix := keyspace.CommonPrefixLen(self, &c.Key)
				want[c.ID] = rank{5 + min(prefix, 10), i < 4 || prefix < 2}
			}
			if len(want) == 0 || !maps.Equal(at.ranks, want) {
				t.Errorf("%s: told %v, want %v", when, at.ranks, want)
			}
		}
		agree("after joining")
		rng := rand.New(rand.NewPCG(1, 2))
		for range 2 {
			gone := fakes[rng.IntN(len(fakes))]
			gone.crash()
			time.Sleep(40 * time.Minute)
			agree("when one has left")
			gone.revive()
		}
		before := at.calls
		at.tell(func(w host.Watcher) {
			w.Connected(d.loop.node.View().AppendClosest(nil, &d.loop.node.Self().Key, 1)[0].ID)
		})
		synctest.Wait()
		if at.calls != before+1 {
			t.Errorf("told %d times of a member that came back, want once", at.calls-before)
		}
		agree("when one has come back")
		_ = d.Close()
		if len(at.ranks) > 0 {
			t.Errorf("closed, and %v is left", at.ranks)
		}
	})
}

// On a real host the connection to a member is protected and worth something, until
// the DHT is closed.
func TestRanksLive(t *testing.T) {
	a := startNode(t, "tcp", Config{})
	b := startNode(t, "tcp", Config{BootstrapPeers: []peer.AddrInfo{*corehost.InfoFromHost(a.host)}})
	if err := b.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	conns := b.host.ConnManager()
	deadline := time.After(10 * time.Second)
	for !conns.IsProtected(a.ID(), "") || conns.GetTagInfo(a.ID()).Value < 5 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("protected: %v, tags: %+v", conns.IsProtected(a.ID(), ""), conns.GetTagInfo(a.ID()))
		}
	}
	_ = b.Close()
	if conns.IsProtected(a.ID(), "") || conns.GetTagInfo(a.ID()).Value != 0 {
		t.Error("closed, and the connection is still held on to")
	}
}

var _ host.Ranker = (*host.Endpoint)(nil)
