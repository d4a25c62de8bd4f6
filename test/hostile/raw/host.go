// Package raw is a libp2p peer that says exactly the bytes it is told to say: the
// clients of test/hostile, honest and hostile ones, are made of it. It shares no
// code with kdht, so that a fault of ours is not made on both sides.
//
//	h, err := raw.New(raw.Config{Key: raw.Key(seed, 7), Source: raw.Source(7)})
//	err = h.Connect(ctx, target)
//	s, err := h.Open(ctx, target, "/kdht/kad/1.0.0")
//	answer, err := s.Ask(raw.Message{Type: raw.FindNode, Key: key}.Frame())
//
// The invariant: nothing is dialed but loopback.
package raw

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"
)

// Config says what peer to make.
type Config struct {
	// Key is the identity; it is required, so that runs can be repeated.
	Key crypto.PrivKey
	// Source is the address that TCP connections come from (the zero Addr: any).
	Source netip.Addr
	// Listen is a multiaddr to listen on; empty for a peer that only dials.
	Listen string
	// Serve answers the streams of Protocol; nil for a peer that serves nothing.
	Serve    func(s *Stream)
	Protocol protocol.ID
}

// Key returns the i-th identity of a seed.
func Key(seed, i uint64) crypto.PrivKey {
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	binary.BigEndian.PutUint64(s[8:], i)
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(s[:]))
	if err != nil {
		panic("BUG: raw: an Ed25519 key does not parse: " + err.Error())
	}
	return key
}

// Source returns the i-th source address: each of the first 200 is in a /16 of its
// own, so that limits on subnets tell them apart.
func Source(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(20 + i%200), byte(i / 200), 7})
}

// Near returns the i-th address of one /16 and of as many /24s as there can be.
func Near(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 19, byte(i), byte(2 + i/256)})
}

// Host is a raw peer.
type Host struct {
	host.Host
	source netip.Addr
}

// New makes a peer and starts it.
func New(cfg Config) (*Host, error) {
	r := &Host{source: cfg.Source}
	opts := []libp2p.Option{
		libp2p.Identity(cfg.Key), libp2p.Transport(tcp.NewTCPTransport, tcp.WithDialerForAddr(r.dialer)), libp2p.Transport(quic.NewTransport),
		libp2p.Security(noise.ID, noise.New), libp2p.DefaultMuxers,
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false), libp2p.DisableIdentifyAddressDiscovery(),
	}
	if cfg.Listen == "" {
		opts = append(opts, libp2p.NoListenAddrs)
	} else {
		opts = append(opts, libp2p.ListenAddrStrings(cfg.Listen))
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("raw: make a peer: %w", err)
	}
	r.Host = h
	if cfg.Serve != nil {
		h.SetStreamHandler(cfg.Protocol, func(s network.Stream) { cfg.Serve(newStream(s)) })
	}
	return r, nil
}

// dialer is for TCP connections to loopback, from the source address.
func (h *Host) dialer(to multiaddr.Multiaddr) (tcp.ContextDialer, error) {
	if err := Loopback(to); err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: 20 * time.Second}
	if h.source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.source, 0))
	}
	return d, nil
}

// Loopback refuses addresses of any other machine.
func Loopback(a multiaddr.Multiaddr) error {
	first, _ := multiaddr.SplitFirst(a)
	if first == nil {
		return errors.New("raw: an empty address: give one such as /ip4/127.0.0.1/tcp/4001/p2p/<peer id>")
	}
	switch first.Protocol().Code {
	case multiaddr.P_IP4, multiaddr.P_IP6:
		if ip, ok := netip.AddrFromSlice(first.RawValue()); ok && ip.Unmap().IsLoopback() {
			return nil
		}
	}
	return fmt.Errorf("raw: %s is not on this machine's loopback: attacks run against 127.0.0.0/8 and ::1 only", a)
}

// Connect connects to a peer on loopback.
func (h *Host) Connect(ctx context.Context, to peer.AddrInfo) error {
	for _, a := range to.Addrs {
		if err := Loopback(a); err != nil {
			return err
		}
	}
	h.Peerstore().AddAddrs(to.ID, to.Addrs, peerstore.PermanentAddrTTL)
	_, err := h.Network().DialPeer(ctx, to.ID)
	return err
}

// Mute opens a stream and says nothing on it, not even which protocol it is for.
func (h *Host) Mute(ctx context.Context, to peer.AddrInfo) (*Stream, error) {
	if h.Network().Connectedness(to.ID) != network.Connected {
		if err := h.Connect(ctx, to); err != nil {
			return nil, err
		}
	}
	s, err := h.Network().NewStream(ctx, to.ID)
	if err != nil {
		return nil, err
	}
	return newStream(s), nil
}

// Open opens a stream and negotiates its protocol at once, connecting if need be.
func (h *Host) Open(ctx context.Context, to peer.AddrInfo, id protocol.ID) (*Stream, error) {
	s, err := h.Mute(ctx, to)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if err := multistream.SelectProtoOrFail(id, s); err != nil {
		_ = s.Reset()
		return nil, err
	}
	return s, nil
}

// Rand returns the i-th source of randomness of a seed.
func Rand(seed, i uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, i)) }

// Bytes returns n random bytes.
func Bytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rng.Uint64())
	}
	return b[:n:n]
}
