package conformance

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/host"
)

// server is the peer under test. What follows is all that this package asks
// of kdht besides its bytes.
type server struct {
	host  host.Host
	close func() error
}

// startServer lets kdht serve on h as the set-up says.
func startServer(h host.Host, s setup) (*server, error) {
	return nil, errors.New("no server yet")
}

// prepare waits until the members are in the routing table and stores what the
// set-up says the server itself has put and provides.
func (s *server) prepare(ctx context.Context, w *world) error { return nil }
