package live

import (
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// occupied returns an error if another program listens on one of these TCP
// addresses. libp2p shares its ports (SO_REUSEPORT): without this look, a second
// node on the port of the first would start, and each get half of the other's
// connections. Addresses that do not parse are told by who listens on them.
func occupied(addrs []string) error {
	for _, text := range addrs {
		a, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			continue
		}
		network, address, err := manet.DialArgs(a)
		if err != nil || !strings.HasPrefix(network, "tcp") || strings.HasSuffix(address, ":0") {
			continue
		}
		l, err := net.Listen(network, address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return inUse(text)
		}
		if err == nil {
			l.Close()
		}
	}
	return nil
}

// inUse is an address that another program listens on.
type inUse string

func (u inUse) Error() string {
	return "cannot listen on " + string(u) + ": the port is in use: stop the program that holds it, or choose another port (0 takes a free one)"
}

func (u inUse) Unwrap() error { return syscall.EADDRINUSE }
