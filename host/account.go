package host

import (
	"github.com/libp2p/go-libp2p/core/network"
)

// serviceName is how streams are booked with libp2p's resource manager.
const serviceName = "kdht"

// account books the memory one stream's buffers take with libp2p's resource
// manager. Up to base stays booked for the stream's life, so that small frames
// cost no booking at all. Not safe for concurrent use.
type account struct {
	scope network.StreamScope
	prio  uint8
	base  int
	held  int
}

// hold books n bytes in all, or leaves the account as it was.
func (a *account) hold(n int) error {
	if n <= a.held {
		return nil
	}
	if err := a.scope.ReserveMemory(n-a.held, a.prio); err != nil {
		return err
	}
	a.held = n
	return nil
}

// settle gives back what exceeds the base.
func (a *account) settle() { a.shrink(a.base) }

// shrink gives back what exceeds n.
func (a *account) shrink(n int) {
	if a.held > n {
		a.scope.ReleaseMemory(a.held - n)
		a.held = n
	}
}
