package build

import (
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
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
	// serviceMemory bounds the buffers of all streams: 64 MiB of large frames and
	// 8 KiB for each stream. peerMemory: one frame of 4 MiB while it is moved from
	// one buffer to the next, beside the rest (reliability.md P5).
	serviceMemory = 64<<20 + maxInbound*(8<<10) + maxOutbound*(4<<10)
	peerMemory    = 16 << 20
)

// newResourceManager returns libp2p's resource manager with its own default
// limits and room for the DHT's streams.
func newResourceManager(protocols []protocol.ID, inbound int) (network.ResourceManager, error) {
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
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.AutoScale()))
}
