package sim

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
)

// A peer may leave a table after a failure that the node has met, a newcomer and
// one with a fault at any time.
func TestDeparturesWithCause(t *testing.T) {
	cfg := Config{Nodes: 30}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg)
	for i := range r.members {
		r.comeUp(int32(i))
	}
	reason := errors.New("failed")
	r.checks.evicts(r.members[4].contact, reason) // it has just come
	r.counts(3)
	i := r.net.take()
	r.net.all[i] = flight{from: 0, to: 3}
	r.fail(i, 1, protocol.ErrTimeout, Lost)
	r.checks.evicts(r.members[3].contact, reason)
	if r.checks.broken != 0 {
		t.Errorf("%v", r.checks.violations)
	}
	r.acting = 1
	r.checks.evicts(r.members[3].contact, reason) // it has failed another
	r.acting = 0
	r.now += grudge + 1
	r.checks.evicts(r.members[3].contact, reason) // and this long ago
	if r.checks.broken != 2 {
		t.Errorf("%d broken: %v", r.checks.broken, r.checks.violations)
	}
}

// A node that asks a member where it does not live, or a peer that does not
// exist, dials in vain and goes on.
func TestNobodyAtTheAddress(t *testing.T) {
	cfg := Config{Nodes: 30}
	if err := cfg.fill(); err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg)
	for i := range r.members {
		r.comeUp(int32(i))
	}
	stranger := idOf(cfg.Seed, 1000)
	request := &protocol.Message{Type: protocol.FindNode, Key: []byte("key")}
	elsewhere := [][]byte{multiaddr(0x0505, 1, 1)}
	for n, c := range []struct {
		to     *kademlia.Contact
		astray uint64
	}{
		{r.members[1].contact, 0},
		{kademlia.NewContact(stranger, elsewhere), 1},
		{kademlia.NewContact(r.members[1].contact.ID, elsewhere), 2},
		{kademlia.NewContact(r.members[1].contact.ID, append(elsewhere, r.members[1].contact.Peer.Addrs...)), 2},
		{kademlia.NewContact(r.members[1].contact.ID, nil), 3},
	} {
		r.acting = 0
		r.Send(kademlia.RequestID(n), c.to, request)
		if r.net.astray != c.astray {
			t.Errorf("case %d: %d dials to nobody, want %d", n, r.net.astray, c.astray)
		}
	}
	for r.queue.len() > 0 && r.net.ended < r.net.sent {
		e := r.queue.pop()
		r.now = e.at
		if k := e.kind(); k == arrive || k == comeIn {
			r.happen(&e)
		}
	}
	if r.net.ended != r.net.sent || r.checks.broken != 0 {
		t.Errorf("%d requests, %d outcomes; %v", r.net.sent, r.net.ended, r.checks.violations)
	}
}

// Members live at public addresses of their own, some of them crowded into few
// subnets and most in one of their own.
func TestAddresses(t *testing.T) {
	const n = 10_000
	all, nets := map[string]bool{}, map[netip.Prefix]int{}
	for i := range int32(n) {
		a := addressOf(1, i)
		if _, ok := protocol.SplitP2P(a, []byte("x")); !ok {
			t.Fatalf("%x is no address", a)
		}
		ip := ipOf(a)
		if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
			t.Errorf("%v is not public", ip)
		}
		all[string(a)] = true
		net, _ := ip.Prefix(16)
		nets[net]++
	}
	crowded := 0
	for _, members := range nets {
		if members > n/200 {
			crowded++
		}
	}
	if len(all) != n || len(nets) < 4000 || crowded < hosters*3/4 || crowded > hosters {
		t.Errorf("%d addresses in %d subnets, %d of them crowded", len(all), len(nets), crowded)
	}
}
