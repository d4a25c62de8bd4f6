package build

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

const (
	// foundAtOnce is how many discovered peers are dialed at a time; more are left
	// for the next announcement.
	foundAtOnce = 8
	// foundTimeout bounds one such dial.
	foundTimeout = 15 * time.Second
)

// Discover finds peers on the local network by multicast DNS and connects to
// them, until it is closed. service sets networks apart that share a cable: only
// peers that use the same name find each other.
func Discover(h host.Host, service string) (io.Closer, error) {
	d := newDiscovery(h)
	d.service = mdns.NewMdnsService(h, service, d)
	if err := d.service.Start(); err != nil {
		d.cancel()
		return nil, fmt.Errorf("build: discover peers on the local network: %w; multicast may be blocked, peers can still be given by address", err)
	}
	return d, nil
}

// discovery connects to the peers that mDNS hears of. Anybody on the local
// network can announce anything, so there is a bound on what is tried at a time.
type discovery struct {
	host    host.Host
	service mdns.Service
	ctx     context.Context
	cancel  context.CancelFunc
	slots   chan struct{}
	dials   sync.WaitGroup
}

func newDiscovery(h host.Host) *discovery {
	d := &discovery{host: h, slots: make(chan struct{}, foundAtOnce)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// HandlePeerFound implements mdns.Notifee.
func (d *discovery) HandlePeerFound(p peer.AddrInfo) {
	if p.ID == d.host.ID() || d.ctx.Err() != nil {
		return
	}
	select {
	case d.slots <- struct{}{}:
	default:
		return
	}
	d.dials.Add(1)
	go func() {
		defer d.dials.Done()
		defer func() { <-d.slots }()
		ctx, cancel := context.WithTimeout(d.ctx, foundTimeout)
		defer cancel()
		_ = d.host.Connect(ctx, p) // it announces itself again
	}()
}

// Close ends discovery and waits for its dials.
func (d *discovery) Close() error {
	d.cancel()
	err := d.service.Close()
	d.dials.Wait()
	return err
}
