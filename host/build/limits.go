package build

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
)

// DefaultProtocols are the DHT protocols whose streams get limits of their own:
// kdht's private network and its JSON twin, the public IPFS network, its LAN form.
var DefaultProtocols = []protocol.ID{
	"/kdht/kad/1.0.0", "/kdht/kad/json/1.0.0", "/ipfs/kad/1.0.0", "/ipfs/lan/kad/1.0.0",
}

const (
	// serviceName is how package host books its streams.
	serviceName = "kdht"
	// maxInbound leaves the choice of who has to go to package host, which knows
	// who is idle, instead of refusing newcomers below it (reliability.md T7).
	maxInbound = 4096
	// maxOutbound is above what package host opens.
	maxOutbound = 4096
	// perPeerInbound, perPeerOutbound are above what package host grants: a peer over
	// its limit there loses its idle streams; here it would be refused.
	perPeerInbound  = 128
	perPeerOutbound = 128
	// maxConns is where libp2p's own default lies; maxHandshakes is far above what
	// its resource manager admits by default: with 2,000 new sockets a second, each
	// has a quarter of a second to say something (reliability.md P18).
	maxConns      = 192
	maxHandshakes = 512
	// serviceMemory bounds the buffers of all streams: 32 MiB of large frames and
	// 8 KiB for each stream. peerMemory: one frame of 4 MiB while it is moved from
	// one buffer to the next, beside the rest (reliability.md P5).
	serviceMemory = 32<<20 + maxInbound*(8<<10) + maxOutbound*(4<<10)
	peerMemory    = 16 << 20
	// connMemory is what QUIC's windows of a connection may grow by, of which libp2p
	// lets it have three fifths: 2 MiB with what they begin with.
	connMemory = 2 << 20
)

// managers are what libp2p closes with the host, once there is one, and what
// keeps room in them.
type managers struct {
	conns     *connmgr.BasicConnMgr
	resources network.ResourceManager
	slots     *slots
}

func (m managers) close() error { return errors.Join(m.conns.Close(), m.resources.Close()) }

// managers makes the connection and resource managers.
func (c *Config) managers() (m managers, err error) {
	if c.MaxConns < 0 || c.MaxInbound < 0 {
		return m, errors.New("build: MaxConns or MaxInbound is negative; leave it 0 for the default")
	}
	room := roomFor(cmp.Or(c.MaxConns, maxConns), maxFiles())
	if m.conns, err = connmgr.NewConnManager(room.conns*5/6, room.conns); err != nil {
		return m, fmt.Errorf("build: MaxConns %d: %w", c.MaxConns, err)
	}
	var opts []rcmgr.Option
	if c.Metrics == nil { // what nobody reads is a sixth of the cost of a small request
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}
	if m.resources, err = newResourceManager(c.Protocols, c.MaxInbound, room, opts...); err != nil {
		return m, errors.Join(fmt.Errorf("build: resource limits: %w", err), m.conns.Close())
	}
	m.slots = newSlots(room.conns*shareInbound/4, room.handshakes, m.conns)
	return m, nil
}

// room is how many connections there is room for.
type room struct {
	conns      int // established ones; slots and the connection manager keep to it
	handshakes int // inbound sockets that belong to nobody yet
	sockets    int // in all, files of the process; 0: libp2p's default
}

// roomFor divides what a process may open, files in all (0: not known), among
// conns connections wanted: a quarter is left for files and listeners.
func roomFor(conns, files int) room {
	r := room{conns: conns, handshakes: maxHandshakes}
	if sockets := files * 3 / 4; files > 0 && sockets < 2*(conns+maxHandshakes) {
		r.sockets = max(8, sockets)
		r.handshakes = min(r.handshakes, max(2, r.sockets/4))
		r.conns = min(r.conns, r.sockets-r.handshakes-r.sockets/8)
	}
	return r
}

// newResourceManager returns libp2p's resource manager with its own default
// limits and room for the DHT's streams. Of connections it admits more than there
// are to be: it refuses whoever comes last, where slots makes room for them.
func newResourceManager(protocols []protocol.ID, inbound int, room room, opts ...rcmgr.Option) (network.ResourceManager, error) {
	if protocols == nil {
		protocols = DefaultProtocols
	}
	if inbound == 0 {
		inbound = maxInbound
	}
	all := rcmgr.BaseLimit{
		StreamsInbound: inbound, StreamsOutbound: maxOutbound, Streams: inbound + maxOutbound,
		Memory: serviceMemory,
	}
	peer := rcmgr.BaseLimit{
		StreamsInbound: perPeerInbound, StreamsOutbound: perPeerOutbound, Streams: perPeerInbound + perPeerOutbound,
		Memory: peerMemory,
	}
	none := rcmgr.BaseLimitIncrease{}
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	limits.ConnBaseLimit.Memory = connMemory
	limits.AddServiceLimit(serviceName, all, none)
	limits.AddServicePeerLimit(serviceName, peer, none)
	for _, id := range protocols {
		limits.AddProtocolLimit(id, all, none)
		limits.AddProtocolPeerLimit(id, peer, none)
	}
	// The system as a whole must hold what its largest service may.
	limits.SystemBaseLimit.StreamsInbound += inbound
	limits.SystemBaseLimit.StreamsOutbound += maxOutbound
	limits.SystemBaseLimit.Streams += inbound + maxOutbound
	limits.SystemBaseLimit.Memory += serviceMemory
	atLeast := func(have *int, want int) { *have = max(*have, want) }
	for _, l := range []*rcmgr.BaseLimit{&limits.SystemBaseLimit, &limits.TransientBaseLimit} {
		atLeast(&l.ConnsInbound, room.conns+2*room.handshakes)
		atLeast(&l.Conns, 2*(room.conns+room.handshakes))
	}
	// Streams without protocol are shared out by fairPending instead.
	limits.TransientBaseLimit.StreamsInbound += maxPending
	limits.TransientBaseLimit.Streams += maxPending
	limits.SystemBaseLimit.StreamsInbound += maxPending
	limits.SystemBaseLimit.Streams += maxPending
	scaled := limits.AutoScale()
	if room.sockets > 0 { // libp2p's least is more than such a process has
		all, half := rcmgr.LimitVal(room.sockets), rcmgr.LimitVal(2*room.handshakes)
		scaled = rcmgr.PartialLimitConfig{System: rcmgr.ResourceLimits{FD: all}, Transient: rcmgr.ResourceLimits{FD: half}}.Build(scaled)
	}
	m, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(scaled), opts...)
	if err != nil {
		return nil, err
	}
	return newFairPending(&windows{ResourceManager: m}), nil
}
