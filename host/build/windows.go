package build

import (
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
)

// maxWindows is how much QUIC's windows of all connections together may grow by,
// beyond the 768 KiB that each begins with: as much as TCP's may hold before each is
// held to a stream's first window (reliability.md P5).
const maxWindows = calmInflow

// windows is a resource manager that bounds what connections reserve themselves,
// which QUIC's do for their windows, and yamux's never.
//
// Invariant: grown is the sum of what the connections that are not done have
// reserved.
type windows struct {
	network.ResourceManager

	mu    sync.Mutex
	grown int
}

// OpenConnection implements network.ResourceManager.
func (w *windows) OpenConnection(dir network.Direction, file bool, remote multiaddr.Multiaddr) (network.ConnManagementScope, error) {
	scope, err := w.ResourceManager.OpenConnection(dir, file, remote)
	if err != nil {
		return nil, err
	}
	return &windowed{ConnManagementScope: scope, all: w}, nil
}

// windowed is the scope of a connection.
type windowed struct {
	network.ConnManagementScope
	all   *windows
	grown int // guarded by the lock of all
}

// ReserveMemory implements network.ResourceScope.
func (c *windowed) ReserveMemory(size int, priority uint8) error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if size > maxWindows-c.all.grown {
		return fmt.Errorf("windows of all connections have grown by %d bytes: %w", c.all.grown, network.ErrResourceLimitExceeded)
	}
	err := c.ConnManagementScope.ReserveMemory(size, priority)
	if err == nil {
		c.grow(size)
	}
	return err
}

// ReleaseMemory implements network.ResourceScope.
func (c *windowed) ReleaseMemory(size int) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.ConnManagementScope.ReleaseMemory(size)
	c.grow(-min(size, c.grown))
}

// Done implements network.ResourceScopeSpan.
func (c *windowed) Done() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.ConnManagementScope.Done()
	c.grow(-c.grown)
}

func (c *windowed) grow(by int) {
	c.grown += by
	c.all.grown += by
}
