package routing

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Where requests wait for the only worker, a peer of the table has every other
// turn, however many strangers came before it.
func TestMembersAreServedBeforeStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []peer.ID
		w := newWorld(t)
		dhts, fakes := w.overlay(2, Config{Serving: Serving{Load: rpc.LoadConfig{Workers: 1}}})
		_ = dhts[0].Close()
		served, f := w.startOn(w.add(), Config{
			BootstrapPeers: []peer.AddrInfo{fakes[1].info()},
			Serving: Serving{
				Load: rpc.LoadConfig{Workers: 1},
				OnRequest: func(from protocol.Remote, _ *protocol.Message) {
					time.Sleep(50 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					order = append(order, from.Peer)
				},
			},
		})
		if err := served.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // what the two had to ask each other is over
		order = nil
		before := served.Stats().Load
		member := dhts[1].ID()
		if !served.loop.node.View().Contains(member) {
			t.Fatal("the member is not in the table")
		}
		frame, _ := protocol.Protobuf.Append(nil, &protocol.Message{Type: protocol.FindNode, Key: []byte("x"), ClusterLevel: 1})
		var all sync.WaitGroup
		ask := func(id peer.ID) {
			all.Go(func() {
				if _, _, err := f.handlers[DefaultProtocol](host.Sender{Peer: id}, frame, nil); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		for range 4 {
			ask(w.add().id)
		}
		ask(member)
		ask(member)
		all.Wait()
		if first, second := slices.Index(order, member), slices.Index(order[2:], member); first != 1 || second != 1 {
			t.Errorf("the member's requests were served as number %d and %d of %d, want 2 and 4", first+1, second+3, len(order))
		}
		if s := served.Stats().Load; s.Workers != 1 || s.Waited != before.Waited+5 {
			t.Errorf("%+v", s)
		}
	})
}
