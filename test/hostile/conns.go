package hostile

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/kdht/kdht/test/hostile/raw"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// connections has fresh identities connect, abreast at a time, and stay; one that
// is disconnected connects again.
func connections(most, abreast int) func(context.Context, *Assault, time.Duration) error {
	return func(_ context.Context, s *Assault, long time.Duration) error {
		hosts, err := s.attackers(most)
		if err != nil {
			return err
		}
		ctx := s.begin(long)
		slots := make(chan struct{}, abreast)
		s.each(ctx, hosts, 1, func(ctx context.Context, h *raw.Host, _ int) error {
			slots <- struct{}{}
			at, cancel := context.WithTimeout(ctx, 15*time.Second)
			err := h.Connect(at, s.AddrInfo)
			cancel()
			<-slots
			if err != nil {
				s.counts.of("connections refused").Add(1)
				pause(ctx, 200*time.Millisecond)
				return err
			}
			s.counts.of("connections made").Add(1)
			for ctx.Err() == nil && len(h.Network().ConnsToPeer(s.ID)) > 0 {
				pause(ctx, 100*time.Millisecond)
			}
			return nil
		})
		return ctx.Err()
	}
}

// silentSockets opens TCP connections that say nothing; one that is closed is
// opened again after a second.
func silentSockets(most int) func(context.Context, *Assault, time.Duration) error {
	return func(_ context.Context, s *Assault, long time.Duration) error {
		to, err := tcpAddr(s.Addrs)
		if err != nil {
			return err
		}
		ctx := s.begin(long)
		slots := make(chan struct{}, 64)
		var group sync.WaitGroup
		for i := range most {
			group.Go(func() {
				for ctx.Err() == nil {
					slots <- struct{}{}
					s.silent(ctx, raw.Source(i), to, func() { <-slots })
				}
			})
		}
		group.Wait()
		return ctx.Err()
	}
}

// silent is the life of one socket; made is called when it is there or not.
func (s *Assault) silent(ctx context.Context, from netip.Addr, to string, made func()) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	c, err := d.DialContext(ctx, "tcp", to)
	made()
	if err != nil {
		s.counts.of("sockets refused").Add(1)
		pause(ctx, 200*time.Millisecond)
		return
	}
	s.counts.of("sockets made").Add(1)
	held := s.counts.of("held now")
	s.counts.most("held at most", held.Add(1))
	defer held.Add(-1)
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	b := make([]byte, 1024)
	for {
		if _, err := c.Read(b); err != nil {
			pause(ctx, time.Second)
			return
		}
	}
}

// tcpAddr returns the first TCP address of a target.
func tcpAddr(addrs []multiaddr.Multiaddr) (string, error) {
	for _, a := range addrs {
		if network, at, err := manet.DialArgs(a); err == nil && (network == "tcp" || network == "tcp4") {
			return at, nil
		}
	}
	return "", errNoTCP
}

var errNoTCP = errors.New("the target has no TCP address: give one such as /ip4/127.0.0.1/tcp/4001/p2p/<peer id>")
