package routing

import (
	"time"

	"github.com/kdht/kdht/host"
)

const (
	// idleAfter is for how long a connection that we made for a lookup is kept for the
	// next one: a node's memory is its connections (performance.md §2.6), and most of
	// those whom a lookup asks are in nobody's way again. It is longer than streams are
	// kept (host.Config.ReuseTimeout).
	idleAfter = 2 * time.Minute
	// idleLook is how often they are looked at.
	idleLook = 30 * time.Second
)

// keepThrifty closes connections that we have made and nobody needs any more, but those
// to members of the table, until the DHT is closed. A nearly empty table may need
// whomever we are connected to.
func (d *DHT) keepThrifty() {
	saver, ok := d.transport.(host.Saver)
	if !ok {
		return
	}
	tick := time.NewTicker(idleLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			return
		}
		if view := d.loop.node.View(); view.Len() > fewPeers {
			saver.CloseIdle(idleAfter, view.Contains)
		}
	}
}
