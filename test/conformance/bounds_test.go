package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// What the vectors cannot show because the recorded peers set no such bounds
// (wire.md §22) or because it is random or takes a change of mode.

// kdht's own bounds, in figures rather than by the names of its constants, so
// that a change of these is seen.
const (
	maxAddrs     = 16 // of a peer in an answer (wire.md §22.2)
	maxProviders = 32 // in an answer (wire.md §22.3)
)

// custom is a set-up of this package's own: n members, each announcing also
// the given addresses besides the one it listens on.
func custom(t *testing.T, n int, also ...string) (setup, map[string]identity) {
	t.Helper()
	all := loadSetups(t)
	s, ids := all.Servers["alone"], maps.Clone(all.Identities)
	for i := range n {
		name := fmt.Sprintf("m%02d", i+1)
		id := newIdentity(t, name)
		id.Addrs = []string{"/ip4/127.0.0.1/tcp/1"} // any: it listens
		for _, a := range also {
			id.also = append(id.also, multiaddr.StringCast(a))
		}
		ids[name] = id
		s.Table = append(s.Table, name)
	}
	return s, ids
}

// newIdentity is the identity whose seed is the hash of its name.
func newIdentity(t *testing.T, name string) identity {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	id := identity{SeedHex: hex.EncodeToString(seed[:])}
	key, err := id.unchecked()
	if err != nil {
		t.Fatal(err)
	}
	got, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id.ID, id.IDHex = got.String(), hex.EncodeToString([]byte(got))
	return id
}

// addresses are n distinct ones that nobody listens on.
func addresses(n int, format string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}

// start brings a set-up of this package's own to life.
func start(t *testing.T, s setup, ids map[string]identity, transport string) *world {
	t.Helper()
	w, err := newWorld(t, s, ids, transport)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// ask makes one request as the given identity, on a stream of its own.
func (w *world) ask(t *testing.T, as string, q message) message {
	t.Helper()
	talk := w.open(t, as)
	defer func() { _ = talk.stream.Reset() }()
	talk.write(framed(q), 0)
	o := talk.next(patience)
	m, err := parseMessage(bodyOf(o.frame))
	if o.frame == nil || err != nil {
		t.Fatalf("%s brought %v, %v", typeNames[q.typ], o, err)
	}
	return m
}

func (w *world) open(t *testing.T, as string) *talk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h, err := w.actor(ctx, as)
	if err != nil {
		t.Fatal(err)
	}
	talk, err := open(ctx, h, w.server.host.ID(), protocol.ID(w.setup.Protocol))
	if err != nil {
		t.Fatal(err)
	}
	return talk
}

// requests, as a go client writes them
func findNode(key string) message     { return message{typ: 4, key: []byte(key), level: 1} }
func getValue(key string) message     { return message{typ: 1, key: []byte(key), level: 1} }
func getProviders(key string) message { return message{typ: 3, key: []byte(key), level: 1} }

// overEach runs the test over each transport.
func overEach(t *testing.T, f func(t *testing.T, transport string)) {
	t.Parallel()
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			customs <- struct{}{}
			defer func() { <-customs }()
			f(t, transport)
		})
	}
}

// TestAnswersStayWithin16KiB: twenty peers with twenty long addresses each
// would make an answer of 40 KiB; it is trimmed to the best four of each, the
// one in use among them, and nobody is left out (wire.md §22.1). Nothing is
// trimmed where there is room (§22.2).
func TestAnswersStayWithin16KiB(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		long := strings.Repeat("x", 60) + "." + strings.Repeat("y", 20)
		s, ids := custom(t, 20, addresses(20, "/dns4/"+long+"%02d.example.net/tcp/4001")...)
		const provided = "a key of many providers"
		w := start(t, s, ids, transport)
		for i := range 32 {
			name := fmt.Sprintf("provider %d", i)
			ids[name] = newIdentity(t, name)
			w.provide(t, name, provided, addresses(16, "/dns4/"+long+"%02d.example.net/tcp/4002")...)
		}
		for _, q := range []message{findNode("hello"), getValue("/v/hello"), getProviders("hello"), getProviders(provided)} {
			m := w.ask(t, "asker", q)
			if string(q.key) == provided && len(m.providers) == 0 {
				t.Error("no providers are left in an answer that has room for some")
			}
			if size := len(appendMessage(nil, m)); size > 16<<10 {
				t.Errorf("%s: answer of %d bytes, want at most 16 KiB", typeNames[q.typ], size)
			}
			if len(m.closer) != 20 {
				t.Errorf("%s: %d closer peers, want 20", typeNames[q.typ], len(m.closer))
			}
			for _, p := range m.closer {
				if len(p.addrs) != 4 || !slices.ContainsFunc(p.addrs, w.isLive) {
					t.Errorf("%s: %s is told with %v, want 4 addresses with the live one among them", typeNames[q.typ], idText(p.id), addrTexts(p.addrs))
				}
			}
		}
	})
}

// isLive reports whether the address is one that a peer of the world listens on.
func (w *world) isLive(raw []byte) bool {
	a, err := multiaddr.NewMultiaddrBytes(raw)
	if err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.recorded[a.String()]
	return ok
}

// TestPeersAreToldWith16Addresses: of a member that announces thirty, sixteen
// are told, the one in use first (wire.md §22.2).
func TestPeersAreToldWith16Addresses(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		s, ids := custom(t, 1, addresses(29, "/ip4/203.0.113.%d/tcp/4001")...)
		w := start(t, s, ids, transport)
		for _, q := range []message{findNode("hello"), getValue("/v/hello"), getProviders("hello")} {
			m := w.ask(t, "asker", q)
			if len(m.closer) != 1 || len(m.closer[0].addrs) != maxAddrs || !w.isLive(m.closer[0].addrs[0]) {
				t.Errorf("%s: told are %v, want one peer with %d addresses, the live one first", typeNames[q.typ], m.closer, maxAddrs)
			}
		}
	})
}

// TestProvidersAreASample: of forty providers an answer names thirty-two,
// others each time and in another order, so that all are found in the end
// (wire.md §22.3).
func TestProvidersAreASample(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		const providers, key = 40, "a popular key"
		s, ids := custom(t, 0)
		for i := range providers {
			name := fmt.Sprintf("provider %d", i)
			ids[name] = newIdentity(t, name)
		}
		w := start(t, s, ids, transport)
		for i := range providers {
			w.provide(t, fmt.Sprintf("provider %d", i), key)
		}
		seen, orders := map[string]bool{}, map[string]bool{}
		for range 16 { // one is missed by all of them with probability 0.2^16
			m := w.ask(t, "asker", getProviders(key))
			names := (judge{}).ids(m.providers)
			orders[strings.Join(names, " ")] = true
			slices.Sort(names)
			if len(slices.Compact(names)) != maxProviders {
				t.Fatalf("%d providers, want %d different ones", len(slices.Compact(names)), maxProviders)
			}
			for _, n := range names {
				seen[n] = true
			}
		}
		if len(seen) != providers {
			t.Errorf("16 answers name %d of %d providers", len(seen), providers)
		}
		if len(orders) != 16 {
			t.Errorf("16 answers come in only %d orders", len(orders))
		}
	})
}

// provide announces the identity as a provider of key, and returns when the
// server has taken it: the PING behind it is answered.
func (w *world) provide(t *testing.T, as, key string, addrs ...string) {
	t.Helper()
	if len(addrs) == 0 {
		addrs = []string{"/ip4/127.0.0.1/tcp/42001"}
	}
	h, err := w.actor(t.Context(), as)
	if err != nil {
		t.Fatal(err)
	}
	self := peerInfo{id: []byte(h.ID())}
	for _, a := range addrs {
		self.addrs = append(self.addrs, multiaddr.StringCast(a).Bytes())
	}
	talk := w.open(t, as)
	defer func() { _ = talk.stream.Reset() }()
	talk.write(append(framed(message{typ: 2, key: []byte(key), providers: []peerInfo{self}, level: 1}), stillOpen...), 0)
	if o := talk.next(patience); !bytes.Equal(o.frame, stillOpen) {
		t.Fatalf("%s announces itself: %v", as, o)
	}
}

// TestFilteredAddressesAreNotTold: an address that the network's filter drops
// is told of nobody, neither a member, which announced it through identify, nor
// a provider (wire.md §22.4).
func TestFilteredAddressesAreNotTold(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		const outside = "/ip4/203.0.113.9/tcp/4001"
		s, ids := custom(t, 3, outside)
		s.AddressFilter = keepsLoopback
		w := start(t, s, ids, transport)
		// The address inside comes last, behind more than are told of anybody.
		w.provide(t, "prov-1", "some key", append(addresses(20, "/ip4/203.0.113.%d/tcp/4001"), "/ip4/127.0.0.1/tcp/42001")...)
		target, err := hex.DecodeString(ids["m01"].IDHex)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range []message{findNode("hello"), findNode(string(target)), getValue("/v/hello"), getProviders("some key")} {
			m := w.ask(t, "asker", q)
			if len(m.closer) != 3 {
				t.Errorf("%s: %d closer peers, want 3", typeNames[q.typ], len(m.closer))
			}
			for _, p := range append(m.closer, m.providers...) {
				if got := addrTexts(p.addrs); len(got) != 1 || !strings.HasPrefix(got[0], "/ip4/127.0.0.1/") {
					t.Errorf("%s: %s is told with %v, want its loopback address only", typeNames[q.typ], idText(p.id), got)
				}
			}
			if typeNames[q.typ] == "GET_PROVIDERS" && len(m.providers) != 1 {
				t.Errorf("%d providers, want 1", len(m.providers))
			}
		}
	})
}

// TestTurningClientResetsStreams: a server that becomes a client resets its
// inbound streams and refuses new ones; when it serves again they are taken
// (wire.md §1, §5, §11).
func TestTurningClientResetsStreams(t *testing.T) {
	overEach(t, func(t *testing.T, transport string) {
		s, ids := custom(t, 0)
		s.auto = true
		w := start(t, s, ids, transport)
		reachability, err := w.server.host.EventBus().Emitter(new(event.EvtLocalReachabilityChanged))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = reachability.Close() })
		turn := func(to network.Reachability, serves bool) {
			t.Helper()
			if err := reachability.Emit(event.EvtLocalReachabilityChanged{Reachability: to}); err != nil {
				t.Fatal(err)
			}
			w.waitServing(t, serves)
		}
		turn(network.ReachabilityPublic, true)
		talk := w.open(t, "asker")
		talk.write(stillOpen, 0)
		if o := talk.next(patience); !bytes.Equal(o.frame, stillOpen) {
			t.Fatalf("a server answers %v", o)
		}
		turn(network.ReachabilityPrivate, false)
		if o := talk.next(patience); o.end != reset {
			t.Errorf("on an open stream of a peer that turned client: %v, want a reset", o)
		}
		if o := w.open(t, "asker").next(patience); o.end != refused {
			t.Errorf("a new stream to a client: %v, want it refused", o)
		}
		turn(network.ReachabilityPublic, true)
		talk = w.open(t, "asker")
		talk.write(stillOpen, 0)
		if o := talk.next(patience); !bytes.Equal(o.frame, stillOpen) {
			t.Errorf("a peer that serves again answers %v", o)
		}
	})
}

// waitServing waits until the server's host speaks the protocol, or no longer.
func (w *world) waitServing(t *testing.T, serves bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := w.until(ctx, fmt.Sprintf("serving is %v", serves), func() bool {
		return slices.Contains(w.server.host.Mux().Protocols(), protocol.ID(w.setup.Protocol)) == serves
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestStrayAnswersAreSkipped: an ADD_PROVIDER answer, and a late answer for
// another key, on the very stream on which an answer is waited for (wire.md
// §5); the vectors' own cases put them where kdht never reads.
func TestStrayAnswersAreSkipped(t *testing.T) {
	answer := framed(message{typ: 1, key: []byte("/v/one"), record: &record{key: []byte("/v/one"), value: []byte("1:one")}, level: 1})
	stray := []frame{
		framed(message{typ: 2, key: []byte("some key"), level: 1}),
		framed(message{typ: 2, key: []byte("some key"), unknown: []byte{0x58, 0x01}}),
	}
	late := framed(message{typ: 1, key: []byte("/v/zero"), level: 1})
	step := func(frames ...frame) clientStep {
		s := clientStep{Server: []arrival{{FramesOut: frames}}}
		s.Request.Type, s.Request.KeyHex = "GET_VALUE", hex.EncodeToString([]byte("/v/one"))
		s.Expect = clientResult{RecordValueHex: []byte(`"` + hex.EncodeToString([]byte("1:one")) + `"`), hasRecord: true}
		return s
	}
	c := clientCase{Name: "stray-answers", Steps: []clientStep{
		step(stray[0], answer),
		step(stray[1], answer),
		step(stray[0], stray[1], stray[0], answer),
		step(answer, late), // the next request must not be answered by it
		step(answer),
	}}
	overEach(t, func(t *testing.T, transport string) {
		c.run(t, transport, false, private)
		for _, in := range []overlay{private, publicNet, localNet} {
			c.run(t, transport, true, in)
		}
	})
}
