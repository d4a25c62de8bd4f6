package hostile

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/test/hostile/raw"
)

// serve answers a stream's requests with what answer returns, PINGs with an echo.
func serve(answer func(request *raw.Answer) []byte) func(*raw.Stream) {
	return func(stream *raw.Stream) {
		defer func() { _ = stream.Reset() }()
		for {
			b, err := stream.ReadFrame()
			if err != nil {
				return
			}
			request, err := raw.Parse(b)
			if err != nil {
				return
			}
			reply := raw.Prefixed(b)
			if request.Type != raw.Ping {
				reply = answer(request)
			}
			if _, err := stream.Write(reply); err != nil {
				return
			}
		}
	}
}

// Honest is a stream handler of a small member of a network: it answers what is
// asked with the peers it is given.
func Honest(peers func() []raw.Peer) func(*raw.Stream) {
	return serve(func(request *raw.Answer) []byte {
		return raw.Message{Type: request.Type, Closer: peers()}.Frame()
	})
}

// baits is how many listeners wait for those who believe the lies.
const baits = 200

// lies makes servers that the target will ask, since they speak its protocol, and
// that answer with 1,000 peers each, all at listeners of ours.
func lies(_ context.Context, s *Assault, long time.Duration) error {
	addrs, err := s.bait(baits)
	if err != nil {
		return err
	}
	told := s.counts.of("hostile answers")
	var number atomic.Uint64
	all := encodedLies(addrs)
	answer := func(request *raw.Answer) []byte {
		told.Add(1)
		n := number.Add(1)
		return all[request.Type%len(all)][n%lieForms].tell(n)
	}
	hosts, err := s.peers(4, func(i int) raw.Config {
		return raw.Config{Listen: tcp(raw.Source(i)), Source: raw.Source(i), Protocol: s.Protocol, Serve: serve(answer)}
	})
	if err != nil {
		return err
	}
	ctx := s.begin(long)
	s.each(ctx, hosts, 1, func(ctx context.Context, h *raw.Host, _ int) error {
		err := h.Connect(ctx, s.AddrInfo)
		pause(ctx, 200*time.Millisecond)
		return err
	})
	return ctx.Err()
}

// lie is an encoded answer of invented peers, each at 20 addresses, and where in it
// their ids are: so it costs the liars next to nothing to invent others, and the
// machine is the target's.
type lie struct {
	frame []byte
	ids   []int
}

// lieForms is how many lies of a type there are, that differ in their addresses.
const lieForms = 8

// encodedLies makes lies for each type of request.
func encodedLies(addrs [][]byte) (all [raw.Ping][lieForms]lie) {
	for t := range all {
		for i := range all[t] {
			m := raw.Message{Type: t, Closer: invented(uint64(i), addrs)}
			if t == raw.GetProviders {
				m.Providers = invented(lieForms+uint64(i), addrs)[:100]
			}
			l, at := lie{frame: m.Frame()}, 0
			for _, p := range slices.Concat(m.Closer, m.Providers) {
				at += bytes.Index(l.frame[at:], p.ID) + len(p.ID)
				l.ids = append(l.ids, at-32)
			}
			all[t][i] = l
		}
	}
	return all
}

// tell returns the lie with ids that were in no other.
func (l lie) tell(number uint64) []byte {
	b, rng := bytes.Clone(l.frame), raw.Rand(number, 3)
	for _, at := range l.ids {
		for i := 0; i < 32; i += 8 {
			binary.LittleEndian.PutUint64(b[at+i:], rng.Uint64())
		}
	}
	return b
}

// invented are peers that nobody is, each at 20 of the addresses.
func invented(number uint64, addrs [][]byte) []raw.Peer {
	rng := raw.Rand(number, 4)
	peers := make([]raw.Peer, 1000)
	for i := range peers {
		id := append([]byte{0x12, 0x20}, raw.Bytes(rng, 32)...)
		peers[i].ID = id
		for range 20 {
			peers[i].Addrs = append(peers[i].Addrs, addrs[rng.IntN(len(addrs))])
		}
	}
	return peers
}

// bait opens listeners on addresses of their own and counts who connects.
func (s *Assault) bait(n int) (addrs [][]byte, err error) {
	dials, distinct := s.counts.of("connections to bait"), s.counts.of("bait listeners dialed")
	for i := range n {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.%d.%d.99:0", 30+i%160, i/160))
		if err != nil {
			return nil, err
		}
		s.later(func() { l.Close() })
		var once sync.Once
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				dials.Add(1)
				once.Do(func() { distinct.Add(1) })
				c.Close()
			}
		}()
		at := l.Addr().(*net.TCPAddr).AddrPort()
		addrs = append(addrs, addrBytes(fmt.Sprintf("/ip4/%s/tcp/%d", at.Addr(), at.Port())))
	}
	return addrs, nil
}

// poison has 200 servers that want into the target's table and answer with each
// other; at its end an onlooker counts whose peers the target tells of.
func poison(spread bool) func(context.Context, *Assault, time.Duration) error {
	return func(_ context.Context, s *Assault, long time.Duration) error {
		const sybils = 200
		var known []raw.Peer
		var mu sync.Mutex
		answer := Honest(func() []raw.Peer {
			mu.Lock()
			defer mu.Unlock()
			return known[:min(20, len(known))]
		})
		hosts, err := s.peers(sybils, func(i int) raw.Config {
			ip := raw.Near(i)
			if spread {
				ip = raw.Source(i%40 + 200*(i/40))
			}
			return raw.Config{Listen: tcp(ip), Source: ip, Protocol: s.Protocol, Serve: answer}
		})
		if err != nil {
			return err
		}
		mu.Lock()
		ours := make(map[string]bool)
		for _, h := range hosts {
			p := raw.Peer{ID: []byte(h.ID())}
			for _, a := range h.Addrs() {
				p.Addrs = append(p.Addrs, a.Bytes())
			}
			known = append(known, p)
			ours[string(p.ID)] = true
		}
		mu.Unlock()
		onlooker, err := s.onlooker()
		if err != nil {
			return err
		}
		ctx := s.begin(long)
		attack, stop := context.WithTimeout(ctx, long*3/4)
		defer stop()
		s.each(attack, hosts, 1, func(ctx context.Context, h *raw.Host, _ int) error {
			err := h.Connect(ctx, s.AddrInfo)
			pause(ctx, time.Second)
			return err
		})
		s.census(ctx, onlooker, ours)
		return nil
	}
}

// census asks for 40 random keys and counts the peers told, ours and all.
func (s *Assault) census(ctx context.Context, h *raw.Host, ours map[string]bool) {
	all, mine := make(map[string]bool), make(map[string]bool)
	for i := range 40 {
		stream, err := s.open(ctx, h)
		if err != nil {
			return
		}
		var key [32]byte
		binary.BigEndian.PutUint64(key[:], uint64(i)*0x9e3779b97f4a7c15)
		answer, err := stream.Ask(raw.Message{Type: raw.FindNode, Key: key[:]}.Frame())
		_ = stream.Reset()
		if err != nil {
			continue
		}
		for _, p := range answer.Closer {
			s.counts.of("peers told").Add(1)
			all[string(p.ID)] = true
			if ours[string(p.ID)] {
				s.counts.of("hostile peers told").Add(1)
				mine[string(p.ID)] = true
			}
		}
	}
	s.counts.of("distinct peers told").Store(int64(len(all)))
	s.counts.of("distinct hostile peers told").Store(int64(len(mine)))
}
