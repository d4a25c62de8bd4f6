package interop_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/libp2p/go-libp2p/core/peer"
)

// ask puts one bare request of kdht's to one peer of the other stack.
func ask(t *testing.T, from *kdhtPeer, to member, req protocol.Message) (*protocol.Message, error) {
	t.Helper()
	req.ClusterLevel = 1
	return within(t, func(ctx context.Context) (*protocol.Message, error) { return from.dht.Ask(ctx, to.info().ID, &req) })
}

func answered(t *testing.T, from *kdhtPeer, to member, req protocol.Message) *protocol.Message {
	t.Helper()
	answer, err := ask(t, from, to, req)
	if err != nil {
		t.Fatalf("%v: %v", req.Type, err)
	}
	return answer
}

// testRequests puts each request there is to one peer of the other stack, and what it was given is asked for again: none of it can
// come from somebody else. A second node of ours asks for the providers, since some stacks do not tell the asker of itself.
func testRequests(t *testing.T, from, second *kdhtPeer, to *foreignPeer) {
	if _, err := ask(t, from, to, protocol.Message{Type: protocol.Ping}); (err == nil) != to.of.pongs {
		t.Errorf("PING: %v, want an answer: %v", err, to.of.pongs)
	}
	found := answered(t, from, to, protocol.Message{Type: protocol.FindNode, Key: []byte(to.id)})
	if !slices.ContainsFunc(found.CloserPeers, func(p protocol.Peer) bool { return peer.ID(p.ID) != to.id && len(p.Addrs) > 0 }) {
		t.Errorf("FIND_NODE: %+v, want peers with addresses", found)
	}
	key, value := []byte(keyFor(t.Name())), []byte("a value")
	record := protocol.Record{Key: key, Value: value}
	if a := answered(t, from, to, protocol.Message{Type: protocol.PutValue, Key: key, Record: record, HasRecord: true}); string(a.Record.Value) != string(value) {
		t.Errorf("PUT_VALUE: %+v", a)
	}
	if _, err := ask(t, from, to, protocol.Message{Type: protocol.PutValue, Key: key, Record: record, HasRecord: true}); (err == nil) != to.of.renews {
		t.Errorf("PUT_VALUE of the same value: %v, want it taken: %v", err, to.of.renews)
	}
	if _, err := ask(t, from, to, protocol.Message{Type: protocol.FindNode, Key: []byte("/v/" + strings.Repeat("long", 12))}); (err == nil) != to.of.longKeys {
		t.Errorf("FIND_NODE for a key of 51 bytes: %v, want an answer: %v", err, to.of.longKeys)
	}
	content := []byte(cidOf(t.Name()).Hash())
	self := protocol.Peer{ID: []byte(from.host.ID())}
	for _, a := range from.host.Addrs() {
		self.Addrs = append(self.Addrs, a.Bytes())
	}
	for range 2 { // an answer to ADD_PROVIDER, which only some stacks send, must not be taken for another's
		answered(t, from, to, protocol.Message{Type: protocol.AddProvider, Key: content, ProviderPeers: []protocol.Peer{self}})
		if a := answered(t, from, to, protocol.Message{Type: protocol.GetValue, Key: key}); !a.HasRecord || string(a.Record.Value) != string(value) {
			t.Errorf("GET_VALUE: %+v", a)
		}
	}
	if got := second.providersAt(t, to, content); !slices.Equal(got, []peer.ID{from.host.ID()}) {
		t.Errorf("GET_PROVIDERS: %v, want %v", got, from.host.ID())
	}
}

// providersAt are the providers of a key that one peer names to this one.
func (p *kdhtPeer) providersAt(t *testing.T, to member, key []byte) (ids []peer.ID) {
	t.Helper()
	for _, found := range answered(t, p, to, protocol.Message{Type: protocol.GetProviders, Key: key}).ProviderPeers {
		ids = append(ids, peer.ID(found.ID))
	}
	return ids
}

// testAlone lets one peer of the other stack join a node of ours that is alone: all it finds it has from there.
func testAlone(t *testing.T, n *network) {
	ours := n.kdht(nil)
	key, value, c := keyFor(t.Name()), []byte("of the only one"), cidOf(t.Name())
	if _, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return ours.put(ctx, key, value) }); !errors.Is(err, routing.ErrNoPeers) {
		t.Fatalf("put alone: %v", err)
	}
	if _, err := within(t, func(ctx context.Context) (any, error) { return nil, ours.provide(ctx, c) }); !errors.Is(err, routing.ErrNoPeers) {
		t.Fatalf("provide alone: %v", err)
	}
	theirs := n.other(ours)
	n.settle(1)
	if from := testGet(t, theirs, key, value); !slices.Contains(from, ours.host.ID()) {
		t.Errorf("the value came from %v", from)
	}
	testProvidedBy(t, theirs, c, ours)
	testFindPeer(t, theirs, ours)
	testPutGet(t, theirs, ours, t.Name())
	testProvide(t, theirs, ours, t.Name()+" by "+n.others.name)
	testPutGet(t, ours, theirs, t.Name()+" by kdht") // both fail unless the one other peer has said that it took it
	testProvide(t, ours, theirs, t.Name()+" by kdht")
	ctx, cancel := context.WithTimeout(t.Context(), opTimeout)
	defer cancel()
	eventually(t, ctx, func() error { // a stack may take an announcement for made before it is sent
		for _, kind := range []protocol.Type{protocol.FindNode, protocol.GetValue, protocol.GetProviders, protocol.PutValue, protocol.AddProvider} {
			if ours.askedBy(theirs.id, kind) == 0 {
				return fmt.Errorf("no %v has been asked", kind)
			}
		}
		return nil
	})
	testRemoval(t, ours, theirs)
}

// testRemoval has a peer give up what it has published, as far as its stack can: it then no longer answers with it itself.
func testRemoval(t *testing.T, ours *kdhtPeer, theirs *foreignPeer) {
	if theirs.of.removesValues {
		key, value := keyFor(t.Name()+" removed"), "soon gone"
		if _, err := within(t, func(ctx context.Context) ([]peer.ID, error) { return theirs.put(ctx, key, []byte(value)) }); err != nil {
			t.Fatal(err)
		}
		get := protocol.Message{Type: protocol.GetValue, Key: []byte(key)}
		if a := answered(t, ours, theirs, get); string(a.Record.Value) != value {
			t.Errorf("before its removal: %+v", a)
		}
		if _, err := within(t, func(ctx context.Context) (any, error) { return nil, theirs.remove(ctx, key) }); err != nil {
			t.Fatal(err)
		}
		if a := answered(t, ours, theirs, get); a.HasRecord {
			t.Errorf("after its removal: %+v", a)
		}
	}
	if theirs.of.stopsProviding {
		c := cidOf(t.Name() + " removed")
		if _, err := within(t, func(ctx context.Context) (any, error) { return nil, theirs.provide(ctx, c) }); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(ours.providersAt(t, theirs, c.Hash()), theirs.id) {
			t.Error("it does not name itself as a provider")
		}
		if _, err := within(t, func(ctx context.Context) (any, error) { return nil, theirs.stopProviding(ctx, c) }); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(ours.providersAt(t, theirs, c.Hash()), theirs.id) {
			t.Error("it still names itself as a provider")
		}
	}
}
