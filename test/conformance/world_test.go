package conformance

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
)

// transports are what every exchange goes over.
var transports = []string{"tcp", "quic"}

// listenAddr is a free port of the loopback interface.
var listenAddr = map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"}

// world is one set-up come alive over one transport: the server under test and
// the peers around it, each a libp2p host of its own on loopback.
type world struct {
	setup     setup
	transport string
	ids       map[string]identity
	server    *server
	// large is held by an exchange with a frame of more than 2 KiB: while a peer
	// sends a frame of megabytes, kdht takes no other large one of it
	// (reliability.md P4), and most exchanges are the same peer's.
	large sync.Mutex

	mu       sync.Mutex
	actors   map[string]*actor
	recorded map[string]string // live address → the vectors' address for it
}

// What the tests do at once is bounded, for the sake of small machines: a dial
// that gets no processor for five seconds fails.
var (
	// starting is held while a world comes alive.
	starting = make(chan struct{}, 2)
	// customs is held by a test that has a world of its own.
	customs = make(chan struct{}, 2)
	// busy is held by an exchange, unless it waits for a minute in silence.
	busy = make(chan struct{}, 24)
)

// actor is a peer of a world; the once makes it join at its first use.
type actor struct {
	once sync.Once
	host host.Host
	err  error
}

// newHost makes a libp2p host on loopback that does nothing by itself: no
// relay, no address discovery, no port mapping, no mDNS.
func newHost(transport string, key crypto.PrivKey, listen bool, more ...libp2p.Option) (host.Host, error) {
	for {
		h, err := hostAnywhere(transport, key, listen, more...)
		if err != nil || !slices.ContainsFunc(h.Addrs(), isRecorded) {
			return h, err
		}
		if err := h.Close(); err != nil {
			return nil, err
		}
	}
}

// isRecorded reports whether a lies among the ports of recorded addresses: what is
// announced under one of these would be taken for who lives there now.
func isRecorded(a multiaddr.Multiaddr) bool {
	port, err := a.ValueForProtocol(multiaddr.P_TCP)
	return err == nil && "41000" <= port && port <= "42999" && len(port) == 5
}

func hostAnywhere(transport string, key crypto.PrivKey, listen bool, more ...libp2p.Option) (host.Host, error) {
	opts := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
	}
	switch transport {
	case "tcp":
		opts = append(opts, libp2p.Transport(tcp.NewTCPTransport))
	case "quic":
		opts = append(opts, libp2p.Transport(quic.NewTransport))
	default:
		return nil, fmt.Errorf("no transport %q", transport)
	}
	if listen {
		opts = append(opts, libp2p.ListenAddrStrings(listenAddr[transport]))
	} else {
		opts = append(opts, libp2p.NoListenAddrs)
	}
	return libp2p.New(append(opts, more...)...)
}

// key is the identity's private key; its id must be the recorded one.
func (id identity) key() (crypto.PrivKey, error) {
	key, err := id.unchecked()
	if err != nil {
		return nil, err
	}
	got, err := peer.IDFromPrivateKey(key)
	if err == nil && got.String() != id.ID {
		err = fmt.Errorf("seed of %s makes %s", id.ID, got)
	}
	return key, err
}

func (id identity) unchecked() (crypto.PrivKey, error) {
	seed, err := hex.DecodeString(id.SeedHex)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("identity %s: bad seed", id.ID)
	}
	return crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
}

// newWorld brings the set-up to life; it ends when t does. It is called from a
// subtest of t, so it returns what t must not fail with.
func newWorld(t testing.TB, s setup, ids map[string]identity, transport string) (*world, error) {
	starting <- struct{}{}
	defer func() { <-starting }()
	w := &world{
		setup: s, transport: transport, ids: ids,
		actors: map[string]*actor{}, recorded: map[string]string{},
	}
	key, err := w.ids[w.setup.Identity].key()
	if err != nil {
		return nil, err
	}
	h, err := newHost(transport, key, true)
	if err != nil {
		return nil, fmt.Errorf("server host: %w", err)
	}
	t.Cleanup(func() { _ = h.Close() })
	w.learn(w.setup.Identity, h)
	if w.server, err = startServer(h, w.setup); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	t.Cleanup(func() {
		w.close()
		if err := w.server.close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
	})
	return w, w.populate(t.Context())
}

// learn notes which live address stands for the recorded one of an identity.
func (w *world) learn(name string, h host.Host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, a := range h.Addrs() {
		if i < len(w.ids[name].Addrs) {
			w.recorded[a.String()] = w.ids[name].Addrs[i]
		}
	}
}

// populate lets the peers of the set-up join and waits until the server knows
// them as the set-up says.
func (w *world) populate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	everyone := &members{}
	for _, name := range w.setup.Table {
		if err := w.join(ctx, name, everyone); err != nil {
			return err
		}
	}
	everyone.know(w, w.setup.Table)
	for _, name := range w.setup.Table {
		if err := w.connect(ctx, w.actors[name].host); err != nil {
			return err
		}
	}
	for _, name := range append(append([]string(nil), w.setup.Connected...), w.setup.Departed...) {
		if _, err := w.actor(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range w.setup.Departed {
		if err := w.leave(ctx, name); err != nil {
			return err
		}
	}
	return w.server.prepare(ctx, w)
}

// join makes the host of a member that serves the protocol, without
// connecting it.
func (w *world) join(_ context.Context, name string, m *members) error {
	h, err := w.host(name)
	if err != nil {
		return err
	}
	h.SetStreamHandler(protocol.ID(w.setup.Protocol), m.serve)
	a := &actor{host: h}
	a.once.Do(func() {})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.actors[name] = a
	return nil
}

// host makes the host of an identity; it listens iff the recorded one did.
func (w *world) host(name string) (host.Host, error) {
	id, ok := w.ids[name]
	if !ok {
		return nil, fmt.Errorf("setups.json has no identity %q", name)
	}
	key, err := id.key()
	if err != nil {
		return nil, err
	}
	h, err := newHost(w.transport, key, len(id.Addrs) > 0, libp2p.AddrsFactory(id.announce))
	if err != nil {
		return nil, fmt.Errorf("host of %s: %w", name, err)
	}
	w.learn(name, h)
	return h, nil
}

// actor is the connected host of an identity. One that is not a member of the
// table joins as a peer that does not speak the protocol.
func (w *world) actor(ctx context.Context, name string) (host.Host, error) {
	w.mu.Lock()
	a := w.actors[name]
	if a == nil {
		a = new(actor)
		w.actors[name] = a
	}
	w.mu.Unlock()
	a.once.Do(func() {
		if a.host, a.err = w.host(name); a.err == nil {
			a.err = w.connect(ctx, a.host)
		}
	})
	return a.host, a.err
}

// connect lets h dial the server, and returns when the server has identified
// it: from then on it knows h's addresses and protocols.
func (w *world) connect(ctx context.Context, h host.Host) error {
	if err := dial(ctx, h, w.server.host); err != nil {
		return fmt.Errorf("connect to the server: %w", err)
	}
	return w.until(ctx, "the server has identified "+h.ID().String(), func() bool {
		conns := w.server.host.Network().ConnsToPeer(h.ID())
		if len(conns) == 0 {
			return false
		}
		ids, ok := w.server.host.(interface{ IDService() identify.IDService })
		if !ok {
			return false
		}
		select {
		case <-ids.IDService().IdentifyWait(conns[0]):
			return true
		case <-ctx.Done():
			return false
		}
	})
}

// dial connects two hosts. A busy machine may take longer than libp2p waits, so
// it is tried again.
func dial(ctx context.Context, from, to host.Host) error {
	for {
		err := from.Connect(ctx, *host.InfoFromHost(to))
		if err == nil || ctx.Err() != nil {
			return err
		}
		if s, ok := from.Network().(*swarm.Swarm); ok {
			s.Backoff().Clear(to.ID())
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// leave ends an identity's host and returns when the server has noticed.
func (w *world) leave(ctx context.Context, name string) error {
	h, err := w.actor(ctx, name)
	if err != nil {
		return err
	}
	if err := h.Close(); err != nil {
		return err
	}
	return w.until(ctx, name+" is gone", func() bool {
		return w.server.host.Network().Connectedness(h.ID()) != network.Connected
	})
}

// until polls a condition of another goroutine's state, which announces its
// changes to nobody.
func (w *world) until(ctx context.Context, what string, holds func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, context.Cause(ctx))
		}
	}
	return nil
}

// close ends every peer of the world.
func (w *world) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.actors {
		if a.host != nil {
			_ = a.host.Close()
		}
	}
}

// judge is the judge of an exchange that name asks.
func (w *world) judge(name string, requests []frame) judge {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := make(map[string]string, len(w.recorded))
	for live, r := range w.recorded {
		known[live] = r
	}
	return judge{recorded: known, requester: w.ids[name].ID, requests: requests}
}

// play runs one exchange, its steps by other identities first.
func (w *world) play(ctx context.Context, e *exchange) error {
	if slices.ContainsFunc(e.Frames, func(f frame) bool { return len(f) > 2<<10 }) {
		w.large.Lock()
		defer w.large.Unlock()
	}
	for i := range e.Before {
		b := &e.Before[i]
		s := b.script()
		if err := w.playScript(ctx, b.As, &s); err != nil {
			return fmt.Errorf("before, as %s: %w", b.As, err)
		}
		if b.ThenLeaves {
			if err := w.leave(ctx, b.As); err != nil {
				return err
			}
		}
	}
	s := e.script()
	err := w.playScript(ctx, e.As, &s)
	if !slices.ContainsFunc(e.Before, func(b step) bool { return b.ThenLeaves }) {
		return err
	}
	// kdht learns of a departure from its host's events, a moment after the
	// connection is gone; the exchange must hold once it has.
	for start := time.Now(); err != nil && time.Since(start) < patience && ctx.Err() == nil; {
		pause(ctx, 20*time.Millisecond)
		err = w.playScript(ctx, e.As, &s)
	}
	return err
}

func (w *world) playScript(ctx context.Context, as string, s *script) error {
	h, err := w.actor(ctx, as)
	if err != nil {
		return fmt.Errorf("%s: %w", as, err)
	}
	opening, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, err := open(opening, h, w.server.host.ID(), protocol.ID(w.setup.Protocol))
	if err != nil {
		return err
	}
	defer func() { _ = t.stream.Reset() }()
	var requests []frame
	if !s.pipelined {
		requests = s.frames
	}
	return s.run(ctx, t, w.judge(as, requests))
}

// addrBytes are a host's addresses in binary form.
func addrBytes(addrs []multiaddr.Multiaddr) [][]byte {
	all := make([][]byte, len(addrs))
	for i, a := range addrs {
		all[i] = a.Bytes()
	}
	return all
}
