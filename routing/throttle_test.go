package routing

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	record "github.com/libp2p/go-libp2p-record"
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
		mu.Lock()
		order = nil
		mu.Unlock()
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
		mu.Lock()
		defer mu.Unlock()
		if first, second := slices.Index(order, member), slices.Index(order[2:], member); first != 1 || second != 1 {
			t.Errorf("the member's requests were served as number %d and %d of %d, want 2 and 4", first+1, second+3, len(order))
		}
		if s := served.Stats().Load; s.Workers != 1 || s.Waited != before.Waited+5 {
			t.Errorf("%+v", s)
		}
	})
}

// A peer that sends values with wrong signatures is cut off long before one that
// sends as many good ones, and the same bad value is verified once.
func TestBadValuesCostTheirSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		verified := 0
		rules := record.NamespacedValidator{"n": judge(func(value []byte) error {
			mu.Lock()
			defer mu.Unlock()
			if verified++; bytes.HasPrefix(value, []byte("bad")) {
				return errors.New("wrong signature")
			}
			return nil
		})}
		d, f := newWorld(t).start(Config{Validator: rules})
		put := func(from host.Sender, value string) error {
			m := &protocol.Message{Type: protocol.PutValue, Key: []byte("/n/k"), HasRecord: true, ClusterLevel: 1}
			m.Record = protocol.Record{Key: m.Key, Value: []byte(value)}
			frame, err := protocol.Protobuf.Append(nil, m)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = f.handlers[DefaultProtocol](from, frame, nil)
			return err
		}
		admitted := func(value func(i int) string) (n int) {
			from := host.Sender{Peer: newWorld(t).add().id}
			for n = 0; n < 10_000; n++ {
				if err := put(from, value(n)); errors.Is(err, rpc.ErrLimited) {
					return n
				}
			}
			return n
		}
		verified = 0
		good := admitted(func(int) string { return "good" })
		if verified < good {
			t.Errorf("%d good values verified %d times", good, verified)
		}
		verified = 0
		bad := admitted(func(i int) string { return fmt.Sprint("bad ", i) })
		if verified != bad || bad*4 > good {
			t.Errorf("%d bad values admitted, %d verified; %d good ones", bad, verified, good)
		}
		verified = 0
		same := admitted(func(int) string { return "bad" })
		if verified != 1 || same < bad {
			t.Errorf("one bad value, %d times: verified %d times", same, verified)
		}
		if s := d.Stats().Limiter; s.Billed < 20*float64(bad) || s.LimitedByPeer != 3 {
			t.Errorf("%+v", s)
		}
	})
}

// judge is a validator of values; all are equally good.
type judge func(value []byte) error

func (j judge) Validate(_ string, value []byte) error       { return j(value) }
func (judge) Select(_ string, values [][]byte) (int, error) { return 0, nil }
