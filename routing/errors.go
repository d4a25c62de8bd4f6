package routing

import (
	"context"
	"errors"
	"fmt"

	"github.com/kdht/kdht/routing/kademlia"
	"github.com/kdht/kdht/store"
	core "github.com/libp2p/go-libp2p/core/routing"
)

// What an operation may end with, besides a context's error. ErrNotFound and
// ErrNotSupported are libp2p's own, so that routers can be stacked.
var (
	ErrNotFound     = core.ErrNotFound
	ErrNotSupported = core.ErrNotSupported
	// ErrNoPeers means that the routing table is empty: nobody could be asked.
	ErrNoPeers = kademlia.ErrNoPeers
	// ErrNotStored means that peers were asked, and none took the record.
	ErrNotStored = kademlia.ErrNotStored
	// ErrClosed means that the DHT has been closed.
	ErrClosed = errors.New("kdht: the DHT is closed")
)

// unsupported says what is not supported, and is ErrNotSupported for routers
// that try the next one then.
type unsupported struct{ error }

func (u unsupported) Is(target error) bool { return target == ErrNotSupported }
func (u unsupported) Unwrap() error        { return u.error }

var (
	errValuesOff    = unsupported{errors.New("kdht: values are switched off on this node (DisableValues)")}
	errProvidersOff = unsupported{errors.New("kdht: provider records are switched off on this node (DisableProviders)")}
)

// outcome turns what an operation ended with into what its caller sees.
func outcome(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, kademlia.ErrCanceled):
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return ErrClosed
	case errors.Is(err, kademlia.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, kademlia.ErrNoAddrs):
		return fmt.Errorf("kdht: %w: let the host listen where others can reach it, and check the address filter", err)
	case errors.Is(err, store.ErrClosed):
		return ErrClosed
	case errors.Is(err, store.ErrNamespace):
		return unsupported{err}
	}
	return err
}
