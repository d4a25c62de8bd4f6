package hostile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kdht/kdht/test/hostile/raw"
)

// immutable returns a new value that names itself, which costs no signature.
func immutable(rng *rand.Rand, size int) (key, value []byte) {
	value = raw.Bytes(rng, size)
	sum := sha256.Sum256(value)
	return []byte("/imm/" + hex.EncodeToString(sum[:])), value
}

// multihash returns a new key of provider records.
func multihash(rng *rand.Rand) []byte { return append([]byte{0x12, 0x20}, raw.Bytes(rng, 32)...) }

// crowdKey is the key that several attackers announce.
func crowdKey(s *Assault) []byte { return multihash(s.rng(1 << 24)) }

// manyAddrs returns n distinct addresses on loopback.
func manyAddrs(peer, n int) (addrs [][]byte) {
	for i := range n {
		addrs = append(addrs, addrBytes(fmt.Sprintf("/ip4/127.%d.%d.9/tcp/%d", 20+peer%200, i, 1000+i)))
	}
	return addrs
}

// announce announces h as a provider and waits until that has been handled.
func (s *Assault) announce(ctx context.Context, h *raw.Host, key []byte, addrs [][]byte) error {
	stream, err := s.open(ctx, h)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Reset() }()
	stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
	defer stop()
	m := raw.Message{Type: raw.AddProvider, Key: key, Providers: []raw.Peer{{ID: []byte(h.ID()), Addrs: addrs}}}
	return acknowledged(stream, m.Frame())
}

// valueSpam stores new values at the speed of the connection.
func valueSpam(size int) func(context.Context, *Assault, time.Duration) error {
	return func(_ context.Context, s *Assault, long time.Duration) error {
		return s.spam(long, func(_ *raw.Host, rng *rand.Rand) raw.Message {
			key, value := immutable(rng, size)
			return raw.Message{Type: raw.PutValue, Key: key, Value: value}
		})
	}
}

// providerSpam announces the attacker for new keys at the speed of the connection.
func providerSpam(_ context.Context, s *Assault, long time.Duration) error {
	return s.spam(long, func(h *raw.Host, rng *rand.Rand) raw.Message {
		me := raw.Peer{ID: []byte(h.ID()), Addrs: [][]byte{addrBytes("/ip4/127.0.0.1/tcp/4001")}}
		return raw.Message{Type: raw.AddProvider, Key: multihash(rng), Providers: []raw.Peer{me}}
	})
}

// spam sends requests of one peer over four streams without waiting.
func (s *Assault) spam(long time.Duration, next func(*raw.Host, *rand.Rand) raw.Message) error {
	hosts, err := s.attackers(1)
	if err != nil {
		return err
	}
	ctx := s.begin(long)
	s.each(ctx, hosts, 4, func(ctx context.Context, h *raw.Host, i int) error {
		rng := s.rng(i<<32 + int(s.counts.of("streams opened").Load()))
		stream, err := s.open(ctx, h)
		if err != nil {
			return err
		}
		return s.pour(ctx, stream, func() []byte { return next(h, rng).Frame() }, 1)
	})
	return ctx.Err()
}

// providerCrowd has 20 honest peers announce a key and, two seconds later, 400
// others, and looks how many of the honest are still told of.
func providerCrowd(_ context.Context, s *Assault, long time.Duration) error {
	const honest, crowd = 20, 400
	hosts, err := s.attackers(honest + crowd)
	if err != nil {
		return err
	}
	key := crowdKey(s)
	ctx := s.begin(long)
	first := make(map[string]bool)
	for i, h := range hosts[:honest] {
		if err := s.announce(ctx, h, key, manyAddrs(i, 1)); err != nil {
			return err
		}
		first[string(h.ID())] = true
	}
	pause(ctx, 2*time.Second)
	for i, h := range hosts[honest:] {
		if s.announce(ctx, h, key, manyAddrs(i, 16)) == nil {
			s.counts.of("announced").Add(1)
		}
		_ = h.Network().ClosePeer(s.ID)
	}
	onlooker, err := s.onlooker()
	if err != nil {
		return err
	}
	s.look(ctx, onlooker, key, first)
	return ctx.Err()
}

// look asks for the providers of a key until nothing new is told, and counts them
// and those who were there first.
func (s *Assault) look(ctx context.Context, h *raw.Host, key []byte, first map[string]bool) {
	told, quiet := make(map[string]bool), 0
	for ; quiet < 20 && ctx.Err() == nil; quiet++ {
		stream, err := s.open(ctx, h)
		if err != nil {
			return
		}
		answer, err := stream.Ask(raw.Message{Type: raw.GetProviders, Key: key}.Frame())
		_ = stream.Reset()
		if err != nil {
			continue
		}
		s.counts.most("largest answer", int64(answer.Size))
		for _, p := range answer.Providers {
			if !told[string(p.ID)] {
				told[string(p.ID)], quiet = true, 0
				if first[string(p.ID)] {
					s.counts.of("honest providers held").Add(1)
				}
			}
		}
	}
	s.counts.of("providers held").Store(int64(len(told)))
}

// spoof announces peers that are not the sender, and looks who is told of.
func spoof(_ context.Context, s *Assault, long time.Duration) error {
	hosts, err := s.attackers(2)
	if err != nil {
		return err
	}
	ctx := s.begin(long)
	for i := 0; i < 200 && ctx.Err() == nil; i++ {
		key := multihash(s.rng(i))
		stream, err := s.open(ctx, hosts[0])
		if err != nil {
			return err
		}
		victim := raw.Peer{ID: []byte(hosts[1].ID()), Addrs: manyAddrs(i, 1)}
		_ = acknowledged(stream, raw.Message{Type: raw.AddProvider, Key: key, Providers: []raw.Peer{victim}}.Frame())
		_ = stream.Reset()
		s.counts.of("spoofed").Add(1)
		if stream, err = s.open(ctx, hosts[0]); err != nil {
			return err
		}
		answer, err := stream.Ask(raw.Message{Type: raw.GetProviders, Key: key}.Frame())
		_ = stream.Reset()
		if err == nil {
			s.counts.of("spoofed records told").Add(int64(len(answer.Providers)))
		}
	}
	return ctx.Err()
}

// hazards are addresses that no peer of a public network has.
var hazards = []string{
	"/ip4/127.0.0.1/tcp/22", "/ip4/10.0.0.1/tcp/80", "/ip4/192.168.1.1/tcp/80", "/ip4/169.254.169.254/tcp/80", "/ip4/224.0.0.1/udp/5353/quic-v1",
	"/ip4/0.0.0.0/tcp/1", "/ip6/::1/tcp/22", "/ip6/fe80::1/tcp/80", "/dns4/localhost/tcp/22", "/dnsaddr/internal.example",
}

// dangerous announces the hazards and asks for them as somebody else.
func dangerous(_ context.Context, s *Assault, long time.Duration) error {
	hosts, err := s.attackers(2)
	if err != nil {
		return err
	}
	key := crowdKey(s)
	bad := make(map[string]bool)
	var addrs [][]byte
	for _, text := range hazards {
		addrs = append(addrs, addrBytes(text))
		bad[string(addrBytes(text))] = true
	}
	ctx := s.begin(long)
	s.counts.of("dangerous announced").Store(int64(len(hazards)))
	_ = s.announce(ctx, hosts[0], key, addrs)
	stream, err := s.open(ctx, hosts[1])
	if err != nil {
		return err
	}
	defer func() { _ = stream.Reset() }()
	for _, m := range []raw.Message{{Type: raw.GetProviders, Key: key}, {Type: raw.FindNode, Key: []byte(hosts[0].ID())}} {
		answer, err := stream.Ask(m.Frame())
		if err != nil {
			return err
		}
		for _, p := range append(answer.Providers, answer.Closer...) {
			for _, a := range p.Addrs {
				if bad[string(a)] && string(p.ID) == string(hosts[0].ID()) {
					s.counts.of("dangerous told").Add(1)
				}
			}
		}
	}
	return nil
}
