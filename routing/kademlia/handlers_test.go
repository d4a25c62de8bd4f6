package kademlia

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// server returns a member whose table holds peers 1..n.
func server(t *testing.T, n uint64) *member {
	w := newWorld(t, 1)
	m := w.add(0, nil)
	for i := range n {
		m.node.table.insert(epoch, testContact(i+1))
	}
	return m
}

func (m *member) handle(from uint64, req *protocol.Message) (*protocol.Message, error) {
	return m.serve(testContact(from), req)
}

// What wire.md §6 refuses, handler by handler.
func TestHandlersRefuse(t *testing.T) {
	m := server(t, 3)
	rec := protocol.Record{Key: []byte("/v/a"), Value: []byte("x")}
	own := protocol.Peer{ID: []byte(testID(9)), Addrs: [][]byte{testAddr(9)}}
	foreign := testContact(8).Peer
	for name, req := range map[string]*protocol.Message{
		"FIND_NODE without key":              {Type: protocol.FindNode},
		"GET_VALUE without key":              {Type: protocol.GetValue},
		"PUT_VALUE without key":              {Type: protocol.PutValue, HasRecord: true, Record: rec},
		"PUT_VALUE without record":           {Type: protocol.PutValue, Key: rec.Key},
		"PUT_VALUE under another key":        {Type: protocol.PutValue, Key: []byte("/v/b"), HasRecord: true, Record: rec},
		"GET_PROVIDERS without key":          {Type: protocol.GetProviders},
		"GET_PROVIDERS with 81 bytes":        {Type: protocol.GetProviders, Key: make([]byte, 81)},
		"ADD_PROVIDER without key":           {Type: protocol.AddProvider, ProviderPeers: []protocol.Peer{own}},
		"ADD_PROVIDER with 81 bytes":         {Type: protocol.AddProvider, Key: make([]byte, 81), ProviderPeers: []protocol.Peer{own}},
		"ADD_PROVIDER of nobody":             {Type: protocol.AddProvider, Key: []byte("k")},
		"ADD_PROVIDER of another":            {Type: protocol.AddProvider, Key: []byte("k"), ProviderPeers: []protocol.Peer{foreign}},
		"ADD_PROVIDER without addresses":     {Type: protocol.AddProvider, Key: []byte("k"), ProviderPeers: []protocol.Peer{{ID: own.ID}}},
		"ADD_PROVIDER with a broken address": {Type: protocol.AddProvider, Key: []byte("k"), ProviderPeers: []protocol.Peer{{ID: own.ID, Addrs: [][]byte{{4, 1}}}}},
	} {
		if _, err := m.handle(9, req); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%s: %v, want %v", name, err, ErrBadRequest)
		}
	}
	if len(m.handlers.Providers.(providerMap)) != 0 || len(m.handlers.Values.(valueMap)) != 0 {
		t.Error("a refused request has stored something")
	}
}

func TestHandlersAccept(t *testing.T) {
	m := server(t, 3)
	own := protocol.Peer{ID: []byte(testID(9)), Addrs: [][]byte{testAddr(9)}}
	key := []byte(strings.Repeat("k", 80))
	add := &protocol.Message{Type: protocol.AddProvider, Key: key, ProviderPeers: []protocol.Peer{testContact(8).Peer, own}}
	if _, err := m.handle(9, add); err != nil {
		t.Fatal(err)
	}
	got, err := m.handle(1, &protocol.Message{Type: protocol.GetProviders, Key: key})
	if err != nil || len(got.ProviderPeers) != 1 || !slices.Equal(got.ProviderPeers[0].ID, own.ID) || !slices.Equal(got.Key, key) {
		t.Errorf("providers of the key: %+v, %v; want the sender alone", got, err)
	}
	rec := protocol.Record{Key: []byte("/v/a"), Value: []byte("x")}
	put := &protocol.Message{Type: protocol.PutValue, Key: rec.Key, HasRecord: true, Record: rec, CloserPeers: []protocol.Peer{own}}
	got, err = m.handle(9, put)
	if err != nil || len(got.CloserPeers) != 0 || string(got.Record.Value) != "x" {
		t.Errorf("the echo of a put: %+v, %v", got, err)
	}
	got, err = m.handle(9, &protocol.Message{Type: protocol.GetValue, Key: rec.Key})
	if err != nil || !got.HasRecord || string(got.Record.Value) != "x" || len(got.CloserPeers) != 3 {
		t.Errorf("the value and who is closer: %+v, %v", got, err)
	}
	got, err = m.handle(9, &protocol.Message{Type: protocol.Ping, Key: []byte("k"), CloserPeers: []protocol.Peer{own}})
	if err != nil || string(got.Key) != "k" || len(got.CloserPeers) != 0 {
		t.Errorf("the echo of a ping: %+v, %v", got, err)
	}
}

// The requester is not told of itself, but as the target it asked for; those
// without addresses are left out of FIND_NODE alone; the target comes first.
func TestWhoIsTold(t *testing.T) {
	m := server(t, 3)
	bare := NewContact(testID(50), nil)
	m.node.table.insert(epoch, bare)
	ids := func(m *protocol.Message) (ids []peer.ID) {
		for _, p := range m.CloserPeers {
			ids = append(ids, peer.ID(p.ID))
		}
		return ids
	}
	got, err := m.handle(1, &protocol.Message{Type: protocol.FindNode, Key: []byte("k")})
	if err != nil || len(got.CloserPeers) != 2 || slices.Contains(ids(got), testID(1)) || slices.Contains(ids(got), bare.ID) {
		t.Errorf("told p1: %v, %v", ids(got), err)
	}
	got, _ = m.handle(1, &protocol.Message{Type: protocol.GetValue, Key: []byte("k")})
	if len(got.CloserPeers) != 3 || !slices.Contains(ids(got), bare.ID) {
		t.Errorf("GET_VALUE told p1: %v", ids(got))
	}
	for _, target := range []peer.ID{testID(1), testID(2), m.contact.ID} {
		got, _ = m.handle(1, &protocol.Message{Type: protocol.FindNode, Key: []byte(target)})
		if len(got.CloserPeers) == 0 || peer.ID(got.CloserPeers[0].ID) != target {
			t.Errorf("asked for %v: told %v", target, ids(got))
		}
	}
	m.handlers.Book = everybody{m}
	got, _ = m.handle(9, &protocol.Message{Type: protocol.FindNode, Key: []byte("k")})
	for _, p := range got.CloserPeers {
		if p.Connection != protocol.Connected {
			t.Errorf("%v is connected and not told to be", peer.ID(p.ID))
		}
	}
}

// everybody is a Book that is connected to all.
type everybody struct{ Book }

func (everybody) Connected(peer.ID) bool { return true }

// broken is a store whose disk has gone.
type broken struct{}

var errBroken = errors.New("disk gone")

func (broken) Put(time.Time, protocol.Record) error { return errBroken }
func (broken) Get(time.Time, []byte) (protocol.Record, bool, error) {
	return protocol.Record{}, false, errBroken
}

func TestStoreErrorsReachTheSender(t *testing.T) {
	m := server(t, 1)
	m.handlers.Values = broken{}
	rec := protocol.Record{Key: []byte("/v/a"), Value: []byte("x")}
	for _, req := range []*protocol.Message{
		{Type: protocol.GetValue, Key: rec.Key},
		{Type: protocol.PutValue, Key: rec.Key, HasRecord: true, Record: rec},
	} {
		if _, err := m.handle(9, req); !errors.Is(err, errBroken) {
			t.Errorf("%v: %v", req.Type, err)
		}
	}
}
