package conformance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/go-cid"
	recordrules "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/kdht/kdht"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
)

// server is the peer under test.
type server struct {
	host host.Host
	dht  *kdht.DHT
}

// startServer lets kdht serve on h as the set-up says; all else is as a user
// gets it, the rate limits too.
func startServer(h host.Host, s setup) (*server, error) {
	filter, ok := addressFilters[s.AddressFilter]
	if !ok || s.K != 20 {
		return nil, fmt.Errorf("no server with k %d that %s", s.K, s.AddressFilter)
	}
	rules, err := validators(s.Validators)
	if err != nil {
		return nil, err
	}
	opts := []kdht.Option{kdht.V1ProtocolOverride(protocol.ID(s.Protocol)), kdht.Validator(rules), kdht.AddressFilter(filter)}
	if s.preset != nil {
		opts = append(onLoopback(*s.preset, kdht.ModeServer), opts...)
	}
	if !s.Values {
		opts = append(opts, kdht.DisableValues())
	}
	if !s.Providers {
		opts = append(opts, kdht.DisableProviders())
	}
	switch {
	case s.ClientMode:
		opts = append(opts, kdht.Mode(kdht.ModeClient))
	case s.auto:
		opts = append(opts, kdht.Mode(kdht.ModeAuto), kdht.ModeDelay(-1))
	}
	dht, err := kdht.New(h, opts...)
	return &server{host: h, dht: dht}, err
}

// onLoopback makes a preset fit for this machine alone: any address passes, and nobody
// is dialed but who is given.
func onLoopback(preset routing.Config, mode kdht.ModeOpt) []kdht.Option {
	return []kdht.Option{kdht.Preset(preset), kdht.BootstrapPeers(), kdht.AddressProfile(kdht.ProfilePrivate), kdht.Mode(mode)}
}

func (s *server) close() error { return s.dht.Close() }

// addressFilters are what a set-up's address filter may be.
var addressFilters = map[string]func([]multiaddr.Multiaddr) []multiaddr.Multiaddr{
	keepsEvery: nil,
	dropsEvery: func([]multiaddr.Multiaddr) []multiaddr.Multiaddr { return nil },
	keepsLoopback: func(a []multiaddr.Multiaddr) []multiaddr.Multiaddr {
		return multiaddr.FilterAddrs(a, manet.IsIPLoopback)
	},
}

// validators are those a set-up names.
func validators(names map[string]string) (recordrules.Validator, error) {
	known := store.Namespaces{"pk": recordrules.PublicKeyValidator{}, "ipns": ipns.Validator{}, "v": numbered{}}
	rules := store.Namespaces{}
	for name := range names {
		if known[name] == nil {
			return nil, fmt.Errorf("no validator %q", name)
		}
		rules[name] = known[name]
	}
	return rules, nil
}

// prepare waits until the members are in the routing table and who has left is
// known to have, and lets the server put and provide what the set-up says it has.
func (s *server) prepare(ctx context.Context, w *world) error {
	members := len(w.setup.Table)
	connected := members + len(w.setup.Connected)
	err := w.until(ctx, fmt.Sprintf("%d peers are connected, %d in the routing table", connected, members), func() bool {
		now := s.dht.Stats()
		return now.Table == members && now.Connected == connected
	})
	for _, v := range w.setup.OwnValues {
		err = errors.Join(err, s.put(ctx, v))
	}
	for _, key := range w.setup.OwnProvides {
		err = errors.Join(err, s.provide(ctx, key))
	}
	return err
}

// put stores a value of the server's own. Where nobody else is there to store
// it, the server says so and keeps it.
func (s *server) put(ctx context.Context, v ownValue) error {
	key, err1 := hex.DecodeString(v.KeyHex)
	value, err2 := hex.DecodeString(v.ValueHex)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := s.dht.PutValue(ctx, string(key), value); err != nil && !errors.Is(err, kdht.ErrNoPeers) {
		return err
	}
	return nil
}

// provide makes the server a provider, with the same exception.
func (s *server) provide(ctx context.Context, keyHex string) error {
	key, err := hex.DecodeString(keyHex)
	if err != nil {
		return err
	}
	if err := s.dht.Provide(ctx, cid.NewCidV1(cid.Raw, key), true); err != nil && !errors.Is(err, kdht.ErrNoPeers) {
		return err
	}
	return nil
}
