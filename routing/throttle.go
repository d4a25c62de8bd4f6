package routing

import (
	"errors"
	"net/netip"

	"github.com/kdht/kdht/protocol/rpc"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Limits returns what other peers are held to just now.
func (d *DHT) Limits() rpc.Limits { return d.server.limiter.Limits() }

// SetLimits changes what other peers are held to, until the DHT is closed. A zero
// l.PerPeer means PrivateRate.
func (d *DHT) SetLimits(l rpc.Limits) error {
	if !l.Valid() {
		return errors.New("kdht: a limit is no number, or a burst or a subnet's factor is below zero: give figures from zero, or a rate below zero for no limit")
	}
	if l.PerPeer == (rpc.Rate{}) {
		l.PerPeer = PrivateRate
	}
	d.server.limiter.Set(l)
	return nil
}

// SetWorkers changes how many requests of others are handled at a time, until the
// DHT is closed; 0 means as many as rpc.LoadConfig says.
func (d *DHT) SetWorkers(n int) { d.server.load.SetWorkers(n) }

// Limited returns at most max of the peers and subnets that are limited now or
// were in the last ten minutes, the worst first.
func (d *DHT) Limited(max int) []rpc.Limited { return d.server.limiter.Limited(d.loop.now(), max) }

// Release lets a peer begin anew: it has a whole burst again. False means that
// nothing was held against it.
func (d *DHT) Release(id peer.ID) bool { return d.server.limiter.Release(id) }

// ReleaseSubnet is Release for a subnet as Limited names it.
func (d *DHT) ReleaseSubnet(p netip.Prefix) bool { return d.server.limiter.ReleaseSubnet(p) }
