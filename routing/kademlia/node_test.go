package kademlia

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

func TestConfigIsChecked(t *testing.T) {
	good := Config{Self: testID(1), Network: &member{}, Rand: rand.New(rand.NewPCG(1, 1))}
	for name, spoil := range map[string]func(*Config){
		"no id":      func(c *Config) { c.Self = "" },
		"no network": func(c *Config) { c.Network = nil },
		"no rand":    func(c *Config) { c.Rand = nil },
		"negative k": func(c *Config) { c.K = -1 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := NewNode(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	n, err := NewNode(good)
	if err != nil || n.cfg.K != 20 || n.cfg.Alpha != 10 || n.cfg.Beta != 3 {
		t.Errorf("defaults: %+v, %v", n.cfg, err)
	}
}

func TestUnknownResponsesAreIgnored(t *testing.T) {
	w := newWorld(t, 1)
	m := w.add(0, nil)
	m.node.HandleResponse(epoch, 42, &protocol.Message{}, nil)
	m.node.HandleResponse(epoch, 43, nil, errors.New("x"))
	m.node.Cancel(epoch, 7)
	if m.node.table.Len() != 0 || !m.node.NextDeadline().IsZero() {
		t.Error("an answer nobody asked for left a trace")
	}
}

// Operations beyond the bound are refused, each told so, and the ones under way
// end as ever.
func TestOperationsAreBounded(t *testing.T) {
	w := newWorld(t, 1)
	m, other := w.add(0, nil), w.add(1, nil)
	m.node.table.insert(epoch, other.contact)
	ended, busy := 0, 0
	for i := range maxQueries + 10 {
		m.node.FindNode(w.now, fmt.Append(nil, i), func(_ time.Time, r Result) {
			if ended++; errors.Is(r.Err, ErrBusy) {
				busy++
			}
		})
	}
	if busy != 10 || len(m.node.queries) != maxQueries {
		t.Errorf("%d refused, %d under way", busy, len(m.node.queries))
	}
	w.run(w.now.Add(time.Minute))
	if ended != maxQueries+10 || len(m.node.queries) != 0 || m.node.requests.pending.len() != 0 {
		t.Errorf("%d ended; %d queries and %d requests left over", ended, len(m.node.queries), m.node.requests.pending.len())
	}
}

// A callback may start the next operation and cancel another.
func TestCallbacksMayCallBack(t *testing.T) {
	w := newWorld(t, 1)
	m, other := w.add(0, nil), w.add(1, nil)
	m.node.table.insert(epoch, other.contact)
	rounds := 0
	var again func(time.Time, Result)
	again = func(now time.Time, r Result) {
		if rounds++; rounds < 5 {
			m.node.FindNode(now, fmt.Append(nil, rounds), again)
			m.node.Cancel(now, m.node.FindNode(now, []byte("canceled"), nil))
		}
	}
	m.node.FindNode(w.now, []byte("0"), again)
	m.touch()
	w.run(w.now.Add(time.Minute))
	if rounds != 5 {
		t.Errorf("%d rounds, want 5", rounds)
	}
}

// The answers of a hostile peer: nothing of it may break the Node.
func TestHostileAnswers(t *testing.T) {
	w := newWorld(t, 1)
	m := w.add(0, func(c *Config) { c.Validator = longest{} })
	evil := testContact(1)
	m.node.table.insert(epoch, evil)
	self := m.contact.Peer
	answers := []*protocol.Message{
		nil,
		{},
		{CloserPeers: []protocol.Peer{{}, {ID: []byte("no id")}, {ID: evil.Peer.ID, Addrs: [][]byte{{}, []byte("junk")}}, self}},
		{CloserPeers: make([]protocol.Peer, 5000)},
		{HasRecord: true},
		{HasRecord: true, Record: protocol.Record{Key: []byte("/v/a")}},
		{ProviderPeers: []protocol.Peer{{}, self, {ID: []byte("junk")}}},
	}
	for _, a := range answers {
		for _, start := range []func(done func(time.Time, Result)){
			func(done func(time.Time, Result)) { m.node.FindNode(w.now, []byte("/v/a"), done) },
			func(done func(time.Time, Result)) { m.node.FindPeer(w.now, testID(5), done) },
			func(done func(time.Time, Result)) { m.node.FindValue(w.now, []byte("/v/a"), ValueOptions{}, done) },
			func(done func(time.Time, Result)) { m.node.FindProviders(w.now, []byte("/v/a"), 0, nil, done) },
		} {
			ended := false
			start(func(_ time.Time, r Result) {
				ended = true
				if len(r.Providers) > 0 && r.Providers[0].ID == m.contact.ID {
					t.Error("we are our own provider by hearsay")
				}
			})
			m.node.HandleResponse(w.now, m.node.requests.last, a, nil)
			if !ended {
				t.Fatalf("%+v: the operation goes on though nobody is left", a)
			}
			m.node.table.insert(w.now, evil) // a malformed answer has it probed
			drain(m)
		}
	}
}

// drain answers all that is under way with silence.
func drain(m *member) {
	for id := range m.node.requests.pending.all() {
		m.node.HandleResponse(m.world.now, id, nil, protocol.ErrLocal)
	}
}

func TestFollowAndAdmitAreAsked(t *testing.T) {
	w := newWorld(t, 1)
	banned := testContact(3)
	m := w.add(0, func(c *Config) {
		c.Follow = func(c *Contact) bool { return c.ID != banned.ID }
		c.Admit = func(c *Contact) bool { return c.ID != testID(4) }
		c.TakeAddrs = func(addrs [][]byte) [][]byte { return addrs[:min(1, len(addrs))] }
	})
	m.node.PeerSeen(epoch, testContact(4))
	if m.node.requests.pending.len() != 0 {
		t.Error("a peer not admitted is probed")
	}
	first := testContact(1)
	m.node.table.insert(epoch, first)
	m.node.FindNode(epoch, []byte("x"), nil)
	two := protocol.Peer{ID: []byte(testID(2)), Addrs: [][]byte{testAddr(2), testAddr(3)}}
	m.node.HandleResponse(epoch, m.node.requests.last, &protocol.Message{CloserPeers: []protocol.Peer{two, banned.Peer}}, nil)
	if m.node.requests.pending.len() != 1 {
		t.Fatalf("%d requests under way, want one: to p2", m.node.requests.pending.len())
	}
	for _, r := range m.node.requests.pending.all() {
		if r.to.ID != testID(2) || len(r.to.Peer.Addrs) != 1 {
			t.Errorf("asked %v under %d addresses", r.to.ID, len(r.to.Peer.Addrs))
		}
	}
}

func TestRandomKeysInBuckets(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	self := keyspace.KeyOf([]byte("self"))
	for _, wanted := range []uint32{0, 1, 1 << 11, 1<<12 - 1, 0b101010, 1<<31 | 2} {
		left := wanted & (1<<(maxRefreshPrefix+1) - 1)
		for _, preimage := range randomKeys(rng, &self, wanted) {
			key := keyspace.KeyOf(preimage)
			p := keyspace.CommonPrefixLen(&self, &key)
			if left>>p&1 == 0 || left&(1<<p-1) != 0 {
				t.Errorf("wanted %b: got one of bucket %d, where %b are left", wanted, p, left)
			}
			left &^= 1 << p
		}
		if left != 0 {
			t.Errorf("wanted %b: none for %b", wanted, left)
		}
	}
}
