package build

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
)

// Listen returns the multiaddrs for listening with TCP and QUIC on one port of
// all interfaces, IPv4 and IPv6; port 0 takes free ones.
func Listen(port uint16) []string {
	return []string{
		fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port),
		fmt.Sprintf("/ip4/0.0.0.0/udp/%d/quic-v1", port),
		fmt.Sprintf("/ip6/::/tcp/%d", port),
		fmt.Sprintf("/ip6/::/udp/%d/quic-v1", port),
	}
}

// listen returns the addresses to listen on.
func (c *Config) listen() ([]multiaddr.Multiaddr, error) {
	if c.Listen == nil {
		return parse(Listen(0))
	}
	return parse(c.Listen)
}

func parse(texts []string) ([]multiaddr.Multiaddr, error) {
	addrs := make([]multiaddr.Multiaddr, 0, len(texts))
	for _, text := range texts {
		a, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("build: %q is no multiaddr (%w); write it like /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1", text, err)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// listenAll listens on every address. lenient is for addresses nobody asked for:
// a machine without IPv6 then listens on what it has.
func listenAll(h host.Host, addrs []multiaddr.Multiaddr, lenient bool) error {
	// The network's own Listen is content with one address of many.
	swarm, ok := h.Network().(interface {
		AddListenAddr(a multiaddr.Multiaddr) error
	})
	if !ok {
		return fmt.Errorf("build: a network of type %T cannot listen", h.Network())
	}
	for _, a := range addrs {
		err := swarm.AddListenAddr(a)
		if err != nil && !(lenient && absent(err)) {
			return listenError(a, err)
		}
	}
	return nil
}

// absent reports that the machine has no such address family.
func absent(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

func listenError(a multiaddr.Multiaddr, err error) error {
	next := "check the address"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		next = "the port is in use: stop the program that holds it, or choose another port (0 takes a free one)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		next = "this machine has no such address: use one of its own, or /ip4/0.0.0.0 for all"
	case errors.Is(err, syscall.EACCES):
		next = "no permission: choose a port above 1023"
	case errors.Is(err, swarm.ErrNoTransport):
		next = "only TCP and QUIC are built in: add the transport to Config.Options, or leave the address out"
	}
	return fmt.Errorf("build: cannot listen on %s: %s (%w)", a, next, err)
}
