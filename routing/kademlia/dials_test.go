package kademlia

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

// place is the address of a peer at ip4:port, in the form of testAddr; locate
// reads it.
func placeAt(a, b, c, d byte, port uint16) []byte {
	return []byte{0x04, a, b, c, d, 0x91, 0x02, byte(port >> 8), byte(port)}
}

func locate(a []byte) (netip.AddrPort, bool) {
	if len(a) != 9 || a[0] != 0x04 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[1:5])), uint16(a[7])<<8|uint16(a[8])), true
}

// line is a network that writes down what leaves and never answers by itself.
type line struct{ sent []leaving }

type leaving struct {
	id RequestID
	to *Contact
}

func (l *line) Send(id RequestID, to *Contact, _ *protocol.Message) {
	l.sent = append(l.sent, leaving{id, to})
}

// take returns what has left since the last call.
func (l *line) take() []leaving {
	sent := l.sent
	l.sent = nil
	return sent
}

func names(contacts ...*Contact) *protocol.Message {
	m := &protocol.Message{}
	for _, c := range contacts {
		m.CloserPeers = append(m.CloserPeers, c.Peer)
	}
	return m
}

// dialer is a node whose lookups dial whom is not connected, over a line.
func dialer(t testing.TB, connected func(peer.ID) bool, located bool, members ...*Contact) (*Node, *line) {
	l := &line{}
	w := newWorld(t, 1)
	m := w.add(0, func(cfg *Config) {
		cfg.Network = l
		if connected != nil {
			cfg.Connected = func(id peer.ID) (netip.Addr, bool) { return netip.Addr{}, connected(id) }
		}
		cfg.Timing = Timing{Probe: -1, Refresh: -1, Suspect: -1}
		if located {
			cfg.Locate = locate
		}
	})
	for _, c := range members {
		m.node.table.insert(epoch, c)
	}
	return m.node, l
}

// fakes are n invented peers, each in a /16 of its own.
func fakes(n int) []*Contact {
	all := make([]*Contact, n)
	for i := range all {
		all[i] = NewContact(testID(uint64(1000+i)), [][]byte{placeAt(20, byte(i), 0, 1, 4001)})
	}
	return all
}

// Whoever names peers that are not there has three of them dialed, no more; a
// second one who names them, three others; and peers that are connected cost
// nothing.
func TestDialsInVain(t *testing.T) {
	member := func(id peer.ID) bool { return id == testID(1) || id == testID(2) || id == testID(1009) }
	n, l := dialer(t, member, false, testContact(1), testContact(2))
	var result *Result
	n.FindNode(epoch, []byte("key"), func(_ time.Time, r Result) { result = &r })
	invented := fakes(10)
	tried := make(map[peer.ID]int)
	fail := func() {
		for sent := l.take(); len(sent) > 0; sent = l.take() {
			for _, s := range sent {
				tried[s.to.ID]++
				n.HandleResponse(epoch, s.id, nil, protocol.ErrUnreachable)
			}
		}
	}
	first := l.take()
	if len(first) != 2 {
		t.Fatalf("%d members asked, want 2", len(first))
	}
	n.HandleResponse(epoch, first[0].id, names(invented...), nil)
	fail()
	if len(tried) != 4 || tried[testID(1009)] != 1 {
		t.Errorf("one peer has named 10, of which 1 is connected: %d tried, want that and 3 more", len(tried))
	}
	if result != nil {
		t.Fatal("ended while another is waited for")
	}
	n.HandleResponse(epoch, first[1].id, names(invented...), nil)
	fail()
	if len(tried) != 7 {
		t.Errorf("two peers have named 10: %d tried, want 7", len(tried))
	}
	if result == nil || result.Err != nil || len(result.Closest) != 2 {
		t.Errorf("the lookup ended with %+v", result)
	}
}

// A dial that was not in vain gives way to the next: who names peers that are
// there has all of them asked.
func TestDialsThatSucceed(t *testing.T) {
	n, l := dialer(t, func(id peer.ID) bool { return id == testID(1) }, true, testContact(1))
	var result *Result
	n.FindNode(epoch, []byte("key"), func(_ time.Time, r Result) { result = &r })
	named := fakes(20)
	n.HandleResponse(epoch, l.take()[0].id, names(named...), nil)
	asked, most := 0, 0
	for sent := l.take(); len(sent) > 0; {
		most = max(most, len(sent))
		err := error(nil)
		if asked++; asked%2 == 0 {
			err = protocol.ErrRefused // there, too
		}
		answer := names()
		if err != nil {
			answer = nil
		}
		n.HandleResponse(epoch, sent[0].id, answer, err)
		sent = append(sent[1:], l.take()...)
	}
	if asked != 20 || most != maxVain {
		t.Errorf("%d of 20 asked, %d at a time; want all, %d at a time", asked, most, maxVain)
	}
	if result == nil {
		t.Error("the lookup has not ended")
	}
}

// No lookup dials more than 60 peers, whoever names them.
func TestDialsBounded(t *testing.T) {
	var members []*Contact
	for i := range uint64(20) {
		members = append(members, testContact(i+1))
	}
	n, l := dialer(t, func(id peer.ID) bool { return id < testID(21) }, false, members...)
	var result *Result
	n.FindNode(epoch, []byte("key"), func(_ time.Time, r Result) { result = &r })
	dialed, invented := 0, 0
	for sent := l.take(); len(sent) > 0; {
		s := sent[0]
		if s.to.ID < testID(21) {
			var named []*Contact
			for range 20 {
				invented++
				named = append(named, NewContact(testID(uint64(1000+invented)), [][]byte{placeAt(20, byte(invented>>8), byte(invented), 1, 1)}))
			}
			n.HandleResponse(epoch, s.id, names(named...), nil)
		} else {
			dialed++
			n.HandleResponse(epoch, s.id, nil, protocol.ErrRefused) // it is there: its namers may name more
		}
		sent = append(sent[1:], l.take()...)
	}
	if dialed != maxDials {
		t.Errorf("%d peers dialed, want the bound, %d", dialed, maxDials)
	}
	if result == nil || len(result.Closest) != 20 {
		t.Errorf("the lookup ended with %+v", result)
	}
}

// Many peers at one host and port, or in one subnet, are dialed once and a few
// times; later lookups remember what earlier ones did.
func TestDialsOfOnePlace(t *testing.T) {
	for name, c := range map[string]struct {
		at   func(i int) []byte
		want []int // dials of one lookup after the other
	}{
		"port": {func(int) []byte { return placeAt(20, 1, 1, 1, 25) }, []int{1, 1, 1}},
		"/24":  {func(i int) []byte { return placeAt(20, 1, 1, byte(i), 25) }, []int{6, 6, 6, 6, 0}},
		"/16":  {func(i int) []byte { return placeAt(20, 1, byte(i), 1, 25) }, []int{9, 9, 9, 9, 9}},
	} {
		members := []*Contact{testContact(1), testContact(2), testContact(3)}
		n, l := dialer(t, func(id peer.ID) bool { return id < testID(4) }, true, members...)
		n.cfg.Locate = func(a []byte) (netip.AddrPort, bool) {
			if a[1] == 10 { // members live anywhere
				return netip.AddrPort{}, false
			}
			return locate(a)
		}
		for round, want := range c.want {
			dialed := 0
			n.FindNode(epoch, fmt.Append(nil, round), func(time.Time, Result) {})
			var invented []*Contact
			for i := range 9 {
				invented = append(invented, NewContact(testID(uint64(1000+100*round+i)), [][]byte{c.at(i)}))
			}
			from := 0
			for sent := l.take(); len(sent) > 0; {
				if s := sent[0]; s.to.ID < testID(4) {
					n.HandleResponse(epoch, s.id, names(invented[3*from:3*from+3]...), nil)
					from++
				} else {
					dialed++
					n.HandleResponse(epoch, s.id, nil, protocol.ErrUnreachable)
				}
				sent = append(sent[1:], l.take()...)
			}
			if dialed != want {
				t.Errorf("%s: lookup %d dialed %d, want %d", name, round, dialed, want)
			}
		}
	}
}

func TestRecentDials(t *testing.T) {
	var r recentDials
	a, b := narrow(netip.MustParseAddr("1.2.3.4")), narrow(netip.MustParseAddr("1.2.4.4"))
	now := epoch
	r.turn(now)
	r.add(a)
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {59 * time.Second, 1}, {time.Minute, 1}, {2 * time.Minute, 0}} {
		r.turn(epoch.Add(step.after))
		if r.count(a) != step.want || r.count(b) != 0 {
			t.Errorf("after %v: %d and %d", step.after, r.count(a), r.count(b))
		}
	}
	for i := range uint32(100_000) {
		r.turn(epoch.Add(3 * time.Minute))
		r.add(narrow(netip.AddrFrom4([4]byte{1, byte(i >> 16), byte(i >> 8), byte(i)})))
		r.add(subnet(i))
		if len(r.now)+len(r.old) > 2*maxSubnets+2 {
			t.Fatalf("%d subnets remembered", len(r.now)+len(r.old))
		}
	}
	if narrow(netip.MustParseAddr("::ffff:1.2.3.9")) != a || narrow(netip.MustParseAddr("2001:db8:1:2ff::")) != narrow(netip.MustParseAddr("2001:db8:1:2ee::1")) ||
		wide(netip.MustParseAddr("2001:db8::")) == wide(netip.MustParseAddr("2001:db9::")) || wide(netip.MustParseAddr("1.2.3.4")) == wide(netip.MustParseAddr("1.3.3.4")) {
		t.Error("subnets are cut in the wrong places")
	}
}

// Whatever others name, and however dials end: no namer has more than three dials
// in vain, no two hearsay peers are dialed at one place, no /24 too often, and every
// lookup ends.
func TestDialsProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		met := make(map[peer.ID]bool) // has answered, and is connected
		n, l := dialer(t, func(id peer.ID) bool { return id < testID(6) || met[id] }, true, testContact(1), testContact(2), testContact(3), testContact(4), testContact(5))
		n.cfg.Paths = rapid.IntRange(1, 2).Draw(r, "paths")
		if rapid.Bool().Draw(r, "believes") {
			n.requests.hearsay.kept = leastTried
			for range enoughSeen {
				n.requests.patience.answered(time.Second)
			}
		}
		ended := false
		id := n.FindNode(epoch, []byte{rapid.Byte().Draw(r, "key")}, func(time.Time, Result) { ended = true })
		known := n.queries[id].lookup
		at, near, dialed := make(map[netip.AddrPort]peer.ID), make(map[subnet]map[peer.ID]bool), 0
		var waiting []leaving
		for step := 0; ; step++ {
			for _, s := range l.take() {
				waiting = append(waiting, s)
				if s.to.ID < testID(6) || met[s.to.ID] {
					continue
				}
				dialed++
				for _, a := range s.to.Peer.Addrs {
					end, _ := locate(a)
					if who, taken := at[end]; taken && who != s.to.ID {
						r.Fatalf("%v is dialed for two peers", end)
					}
					at[end] = s.to.ID
					sub := narrow(end.Addr())
					if near[sub] == nil {
						near[sub] = make(map[peer.ID]bool)
					}
					if near[sub][s.to.ID] = true; len(near[sub]) > maxNearby {
						r.Fatalf("%d peers dialed in the /24 of %v", len(near[sub]), end)
					}
				}
			}
			if dialed > maxDials || slices.ContainsFunc(known.dials.vain[1:], func(v uint8) bool { return v > maxVain }) {
				r.Fatalf("%d dials, in vain %v", dialed, known.dials.vain)
			}
			if len(waiting) == 0 {
				break
			}
			i := rapid.IntRange(0, len(waiting)-1).Draw(r, "next")
			s := waiting[i]
			waiting = slices.Delete(waiting, i, i+1)
			if s.to.ID > testID(5) && !met[s.to.ID] && rapid.IntRange(0, 2).Draw(r, "fails") > 0 {
				n.HandleResponse(epoch, s.id, nil, protocol.ErrUnreachable)
				continue
			}
			met[s.to.ID] = true
			var named []*Contact
			for range rapid.IntRange(0, 8).Draw(r, "named") {
				var addrs [][]byte
				for range rapid.IntRange(0, 3).Draw(r, "addrs") {
					addrs = append(addrs, placeAt(30, rapid.Byte().Draw(r, "b"), 1, byte(rapid.IntRange(0, 3).Draw(r, "host")), uint16(rapid.IntRange(1, 3).Draw(r, "port"))))
				}
				named = append(named, NewContact(testID(uint64(rapid.IntRange(100, 300).Draw(r, "who"))), addrs))
			}
			n.HandleResponse(epoch, s.id, names(named...), nil)
		}
		if !ended {
			r.Fatal("nothing is waited for, and the lookup has not ended")
		}
	})
}

// A refresh that fills buckets with those it has heard of dials no more of them in
// vain for whoever named them than any lookup does.
func TestDialsOfRefresh(t *testing.T) {
	var members []*Contact
	known := make(map[peer.ID]bool)
	for i := range uint64(24) {
		c := testContact(1 + i)
		members, known[c.ID] = append(members, c), true
	}
	n, l := dialer(t, func(id peer.ID) bool { return known[id] }, false, members...)
	n.refresher.full = true
	nearest := n.View().AppendClosest(nil, &n.self.Key, n.cfg.K)
	far := slices.DeleteFunc(fakes(200), func(c *Contact) bool {
		return keyspace.CompareDistance(&n.self.Key, &c.Key, &nearest[len(nearest)-1].Key) < 0
	})
	ended := false
	n.lookAbout(epoch, n.self.Peer.ID, &lookAbout{bucket: keyspace.Bits, enough: n.cfg.K}, func(time.Time, Result) { ended = true })
	tried := 0
	for sent := l.take(); len(sent) > 0; sent = l.take() {
		for _, s := range sent {
			switch {
			case !known[s.to.ID]:
				tried++
				n.HandleResponse(epoch, s.id, nil, protocol.ErrUnreachable)
			case s.to == nearest[0]:
				n.HandleResponse(epoch, s.id, names(far[:20]...), nil)
			default:
				n.HandleResponse(epoch, s.id, names(), nil)
			}
		}
	}
	if !ended || tried != maxVain {
		t.Errorf("one peer has named 20 of %d that are not there: ended %v, %d tried, want %d", len(far), ended, tried, maxVain)
	}
}
