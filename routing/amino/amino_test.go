package amino_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/amino"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// node is a member of one of the networks, on loopback: the address profile is
// overridden and nobody is dialed but who is given.
type node struct {
	*routing.DHT
	host host.Host
}

func start(t *testing.T, cfg routing.Config, change func(*routing.Config), through ...*node) *node {
	t.Helper()
	h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		t.Fatal(err)
	}
	cfg.BootstrapPeers, cfg.Mode, cfg.Filters.Profile = nil, routing.ModeServer, profile.Private
	cfg.Validator = amino.Validator(h.Peerstore())
	for _, n := range through {
		cfg.BootstrapPeers = append(cfg.BootstrapPeers, *host.InfoFromHost(n.host))
	}
	if change != nil {
		change(&cfg)
	}
	d, err := routing.New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(d.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := d.WaitPeers(ctx, len(through)); err != nil {
		t.Fatal(err)
	}
	return &node{d, h}
}

// know waits until n has all of others in its table.
func (n *node) know(t *testing.T, others ...*node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := n.WaitPeers(ctx, len(others)); err != nil {
		t.Fatal(err)
	}
}

// publisher signs IPNS records of one name.
type publisher struct {
	t   *testing.T
	key crypto.PrivKey
	id  peer.ID
}

func newPublisher(t *testing.T) publisher {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return publisher{t, key, id}
}

// name is the key that the records are stored under.
func (p publisher) name() string { return string(ipns.NameFromPeer(p.id).RoutingKey()) }

// record is a signed record that leads to a place of its own.
func (p publisher) record(sequence uint64) []byte {
	return p.until(sequence, time.Now().Add(48*time.Hour))
}

// bare is a record without the key that it is signed with.
func (p publisher) bare(sequence uint64) []byte {
	return p.until(sequence, time.Now().Add(time.Hour), ipns.WithPublicKey(false))
}

func (p publisher) until(sequence uint64, end time.Time, options ...ipns.Option) []byte {
	p.t.Helper()
	to, err := path.NewPath(fmt.Sprintf("/ipns/example%d.net", sequence))
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := ipns.NewRecord(p.key, to, sequence, end, 5*time.Minute, options...)
	if err != nil {
		p.t.Fatal(err)
	}
	b, err := ipns.MarshalRecord(r)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// bad are values that are no records of the publisher's name.
func (p publisher) bad() map[string][]byte {
	forged := p.record(9)
	forged[len(forged)/2] ^= 1
	return map[string][]byte{
		"forged":         forged,
		"another's":      newPublisher(p.t).record(9),
		"expired":        p.until(9, time.Now().Add(-time.Minute)),
		"no record":      []byte("to whom it may concern"),
		"of 10 KiB more": append(p.record(9), make([]byte, 10<<10)...),
	}
}

func networks(t *testing.T, test func(t *testing.T, cfg routing.Config)) {
	for name, cfg := range map[string]routing.Config{"amino": amino.Config(), "lan": amino.LANConfig()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, cfg)
		})
	}
}

// Two nodes publish and resolve; nothing that is forged, another's or over is taken,
// here or there.
func TestPublishAndResolve(t *testing.T) {
	networks(t, func(t *testing.T, cfg routing.Config) {
		alice := start(t, cfg, nil)
		bob := start(t, cfg, nil, alice)
		alice.know(t, bob)
		p := newPublisher(t)
		for sequence := range uint64(3) {
			if err := alice.PutValue(t.Context(), p.name(), p.record(sequence)); err != nil {
				t.Fatal(err)
			}
			got, err := bob.GetValue(t.Context(), p.name())
			if err != nil || !leadsTo(got, sequence) {
				t.Fatalf("record %d: %v", sequence, err)
			}
		}
		for what, value := range p.bad() {
			if err := bob.PutValue(t.Context(), p.name(), value); err == nil {
				t.Errorf("put here: %s was taken", what)
			}
			if err := offer(t, bob, alice, p.name(), value); !errors.Is(err, protocol.ErrRefused) {
				t.Errorf("put there: %s: %v, want it refused", what, err)
			}
		}
		if err := bob.PutValue(t.Context(), p.name(), p.record(1)); err == nil {
			t.Error("put here: an older record was taken")
		}
		if err := offer(t, bob, alice, p.name(), p.record(1)); !errors.Is(err, protocol.ErrRefused) {
			t.Errorf("put there: an older record: %v, want it refused", err)
		}
		for _, n := range []*node{alice, bob} {
			if got, err := n.GetValue(t.Context(), p.name(), core.Offline); err != nil || !leadsTo(got, 2) {
				t.Errorf("what is kept is not the newest record: %v", err)
			}
		}
	})
}

// offer has one node put a value to another, past its own rules.
func offer(t *testing.T, from, to *node, key string, value []byte) error {
	t.Helper()
	_, err := from.Ask(t.Context(), to.ID(), &protocol.Message{
		Type: protocol.PutValue, Key: []byte(key), Record: protocol.Record{Key: []byte(key), Value: value}, HasRecord: true, ClusterLevel: 1,
	})
	return err
}

func leadsTo(value []byte, sequence uint64) bool {
	r, err := ipns.UnmarshalRecord(value)
	if err != nil {
		return false
	}
	got, err := r.Sequence()
	return err == nil && got == sequence
}

// anything lets a node hold whatever it is given, as one that lies would.
type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

// Nothing that a lying peer answers with is taken, nor passed on to others when a
// read corrects those who lack the record; who has an older one is given the newer.
func TestLyingPeers(t *testing.T) {
	networks(t, func(t *testing.T, cfg routing.Config) {
		liar := start(t, cfg, func(c *routing.Config) { c.Validator = anything{} })
		stale := start(t, cfg, nil, liar)
		reader := start(t, cfg, nil, liar, stale)
		for what := range newPublisher(t).bad() {
			p := newPublisher(t)
			if err := offer(t, reader, liar, p.name(), p.bad()[what]); err != nil {
				t.Fatalf("the liar refuses: %v", err)
			}
			if got, err := reader.GetValue(t.Context(), p.name()); !errors.Is(err, routing.ErrNotFound) {
				t.Errorf("%s: got %q, %v", what, got, err)
			}
			if err := offer(t, reader, stale, p.name(), p.record(1)); err != nil {
				t.Fatal(err)
			}
			got, err := reader.GetValue(routing.WithoutCache(t.Context()), p.name()) // it was missing a moment ago
			if err != nil || !leadsTo(got, 1) {
				t.Errorf("%s beside a good record: got %q, %v", what, got, err)
			}
			kept, err := stale.GetValue(t.Context(), p.name(), core.Offline)
			if err != nil || !leadsTo(kept, 1) {
				t.Errorf("%s: the good record was replaced: %q, %v", what, kept, err)
			}
		}
		p := newPublisher(t)
		if err := errors.Join(offer(t, reader, stale, p.name(), p.record(1)), offer(t, reader, liar, p.name(), p.record(2))); err != nil {
			t.Fatal(err)
		}
		if got, err := reader.GetValue(t.Context(), p.name()); err != nil || !leadsTo(got, 2) {
			t.Errorf("the newer of two records was not found: %v", err)
		}
		eventually(t, "who held the older record has the newer", func() bool {
			got, err := stale.GetValue(t.Context(), p.name(), core.Offline)
			return err == nil && leadsTo(got, 2)
		})
	})
}

// eventually polls what another goroutine does that tells nobody.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// A name whose key is too long to be in it is resolved by the key in the record, or
// by the one that the host knows.
func TestLongKeys(t *testing.T) {
	key, _, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, amino.Config(), nil)
	p := publisher{t, key, id}
	if err := n.PutValue(t.Context(), p.name(), p.record(1), core.Offline); err != nil {
		t.Errorf("with its key in it: %v", err)
	}
	if err := n.PutValue(t.Context(), p.name(), p.bare(2), core.Offline); err == nil {
		t.Error("a record was taken whose key nobody knows")
	}
	if err := n.host.Peerstore().AddPubKey(id, key.GetPublic()); err != nil {
		t.Fatal(err)
	}
	if err := n.PutValue(t.Context(), p.name(), p.bare(3), core.Offline); err != nil {
		t.Errorf("with its key in the host's book: %v", err)
	}
}

// The presets are what wire.md says of the networks.
func TestPresets(t *testing.T) {
	public, lan := amino.Config(), amino.LANConfig()
	if public.Protocol != "/ipfs/kad/1.0.0" || lan.Protocol != "/ipfs/lan/kad/1.0.0" || public.K != 20 || lan.K != 20 {
		t.Errorf("protocols and k: %+v, %+v", public, lan)
	}
	if public.Mode != routing.ModeAuto || lan.Mode != routing.ModeServer || public.Filters.Profile != profile.Public || lan.Filters.Profile != profile.LAN {
		t.Errorf("modes and profiles: %+v, %+v", public, lan)
	}
	if len(public.BootstrapPeers) != 5 || len(lan.BootstrapPeers) != 0 {
		t.Errorf("bootstrap peers: %v, %v", public.BootstrapPeers, lan.BootstrapPeers)
	}
	n := start(t, amino.LANConfig(), nil)
	for _, key := range []string{"/imm/x", "/mut/x/y", "/v/x", "x", "/ipns", "/pk/"} {
		if err := n.PutValue(t.Context(), key, []byte("x"), core.Offline); err == nil {
			t.Errorf("%q was taken", key)
		}
	}
	raw, err := crypto.MarshalPublicKey(n.host.Peerstore().PubKey(n.ID()))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.PutValue(t.Context(), core.KeyForPublicKey(n.ID()), raw, core.Offline); err != nil {
		t.Errorf("a public key under its name: %v", err)
	}
}
