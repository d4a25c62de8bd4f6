package kademlia

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

// at is peer n at an address.
func at(n uint64, addr ...[]byte) *Contact { return NewContact(testID(n), addr) }

// A table takes two of a /16 into a bucket and three in all, whatever the order,
// and those without an address of their own as they come. Nobody leaves for it.
func TestTableDiversity(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n, _ := dialer(t, nil, true)
		nowhere, inside := 0, make(map[peer.ID]bool)
		for i := range uint64(120) {
			c := at(i+1, placeAt(20, byte(rapid.IntRange(0, 12).Draw(r, "net")), byte(i), 1, 1))
			if i%10 == 0 {
				c = at(i+1, []byte{0x36, 1, 'a', 0x06, 0, 1}) // by name only
				nowhere++
			}
			n.alive(epoch, c)
			for id := range inside {
				if !n.View().Contains(id) {
					r.Fatalf("a live member has left for another")
				}
			}
			if n.View().Contains(c.ID) {
				inside[c.ID] = true
			}
		}
		all := make(map[home]int)
		for p := range n.table.buckets {
			here := make(map[home]int)
			for i := range n.table.buckets[p].members {
				h := n.cfg.homeOf(n.table.buckets[p].members[i].contact)
				if h.nowhere() {
					nowhere--
					continue
				}
				here[h]++
				all[h]++
				if here[h] > maxInBucket || all[h] > maxInTable {
					r.Fatalf("bucket %d: %d of a /16, %d in the table", p, here[h], all[h])
				}
			}
			waiting := make(map[home]int)
			for _, c := range n.table.buckets[p].replacements {
				h := n.cfg.homeOf(c.contact)
				if waiting[h]++; !h.nowhere() && waiting[h] > maxInBucket {
					r.Fatalf("bucket %d: more than two of a /16 wait for a place", p)
				}
			}
			for h, c := range waiting {
				if h.nowhere() {
					nowhere -= c
				}
			}
		}
		if nowhere != 0 {
			r.Fatalf("%d peers that live nowhere have been turned away", nowhere)
		}
	})
}

// A peer takes one place of an IPv4 and one of an IPv6 subnet, however many
// addresses it claims.
func TestHome(t *testing.T) {
	n, _ := dialer(t, nil, true)
	liar := at(1, placeAt(20, 1, 1, 1, 1), placeAt(20, 2, 1, 1, 1), placeAt(20, 3, 1, 1, 1))
	if h := n.cfg.homeOf(liar); !h.shares(n.cfg.homeOf(at(2, placeAt(20, 1, 9, 9, 9)))) || h.shares(n.cfg.homeOf(at(3, placeAt(20, 2, 1, 1, 1)))) {
		t.Error("a peer counts where it does not live first")
	}
	if h := (home{}); h.shares(home{}) || !h.nowhere() {
		t.Error("those who live nowhere share a home")
	}
	// Where it is connected from goes before what it says.
	n.cfg.Connected = func(id peer.ID) (netip.Addr, bool) { return netip.MustParseAddr("20.2.5.5"), id == testID(1) }
	if h := n.cfg.homeOf(liar); h.shares(n.cfg.homeOf(at(2, placeAt(20, 1, 9, 9, 9)))) || !h.shares(n.cfg.homeOf(at(3, placeAt(20, 2, 1, 1, 1)))) {
		t.Error("a peer lives where it says, though it is connected from elsewhere")
	}
	n.cfg.Locate = nil
	if !n.cfg.homeOf(liar).nowhere() {
		t.Error("subnets are bounded where they are not to be")
	}
}

// Of one answer three of a /16 are believed, the first ones: a group is never
// silenced for having too many.
func TestAnswerDiversity(t *testing.T) {
	n, l := dialer(t, nil, true, at(1, placeAt(21, 1, 1, 1, 1)))
	id := n.FindNode(epoch, []byte("key"), func(time.Time, Result) {})
	var named []*Contact
	for i := range byte(8) {
		named = append(named, at(uint64(100+int(i)), placeAt(20, 1, i, 1, 1)), at(uint64(200+int(i)), placeAt(20, 2+i, 1, 1, 1)))
	}
	n.HandleResponse(epoch, l.take()[0].id, names(named...), nil)
	crowded := 0
	for _, c := range n.queries[id].lookup.candidates {
		if c.contact.ID >= testID(100) && c.contact.ID < testID(200) {
			crowded++
			if c.contact.ID >= testID(103) && c.contact.ID < testID(200) {
				t.Errorf("%x is not among the first three of its subnet", c.contact.ID)
			}
		}
	}
	if want := len(n.queries[id].lookup.candidates); crowded != maxInAnswer || want != 1+8+maxInAnswer {
		t.Errorf("%d of the crowded subnet believed, %d candidates", crowded, want)
	}
}

// Of what one answer names nothing is dropped but what exceeds three of a subnet, and of
// that what comes last; the rest stays in order.
func TestAnswersLoseTheSurplusOnly(t *testing.T) {
	n, _ := dialer(t, nil, true)
	rapid.Check(t, func(r *rapid.T) {
		var named, want []*Contact
		of := make(map[int]int)
		for i := range rapid.IntRange(0, 40).Draw(r, "named") {
			net := rapid.IntRange(0, 8).Draw(r, "net")
			c := at(uint64(i+1), placeAt(20, byte(net), byte(i), 1, 1))
			if net == 0 {
				c = at(uint64(i+1), []byte{0x36, 1, 'a', 0x06, 0, 1}) // by name only: of no subnet
			}
			named = append(named, c)
			if of[net]++; net == 0 || of[net] <= maxInAnswer {
				want = append(want, c)
			}
		}
		if got := n.cfg.spreadOut(slices.Clone(named)); !slices.Equal(got, want) {
			r.Fatalf("%d of %d are left, want %d", len(got), len(named), len(want))
		}
	})
}

// A result holds three of a /16 at most, though each answer names others of it;
// the honest ones behind them are found instead, and the target itself in any case.
func TestResultDiversity(t *testing.T) {
	for seed := range byte(20) {
		key := []byte{'k', seed}
		members := []*Contact{at(1, placeAt(21, 1, 1, 1, 1)), at(2, placeAt(22, 1, 1, 1, 1)), at(3, placeAt(23, 1, 1, 1, 1))}
		n, l := dialer(t, nil, true, members...)
		var result Result
		n.FindNode(epoch, key, func(_ time.Time, r Result) { result = r })
		given := 0
		for sent := l.take(); len(sent) > 0; {
			var named []*Contact
			if given < 3 {
				for i := range byte(3) {
					x := byte(given)*3 + i
					named = append(named, at(uint64(100+int(x)), placeAt(20, 1, x, 1, 1)), at(uint64(200+int(x)), placeAt(30, x, 1, 1, 1)))
				}
				given++
			}
			s := sent[0]
			if s.to.ID == testID(100) { // dead: another of its subnet may take its place
				n.HandleResponse(epoch, s.id, nil, protocol.ErrUnreachable)
			} else {
				n.HandleResponse(epoch, s.id, names(named...), nil)
			}
			sent = append(sent[1:], l.take()...)
		}
		crowded, others := 0, 0
		for _, c := range result.Closest {
			if c.ID >= testID(100) && c.ID < testID(200) {
				crowded++
			} else {
				others++
			}
		}
		if crowded != maxInAnswer || others != 3+9 {
			t.Errorf("%q: %d of the crowded subnet found, %d others: %v", key, crowded, others, fmt.Sprint(result.Err))
		}
	}
}
