package kdht

import (
	"fmt"
	"maps"
	"strings"
	"time"

	kprotocol "github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// The options that say which network a DHT is a member of, and who else is.

// shared is how the ids of the networks begin that belong to all IPFS nodes.
const shared = "/ipfs/"

// checkShared refuses to take part in everybody's network by rules of one's own:
// what does not fit there would be refused by the others, or be in their way
// (wire.md §7). V1ProtocolOverride lets who knows better.
func (s *settings) checkShared() error {
	if s.override != "" || !strings.HasPrefix(string(s.Protocol), shared) {
		return nil
	}
	if s.preset == nil || !strings.HasPrefix(string(s.preset.Protocol), shared) {
		return fmt.Errorf("kdht: %s is the network of all IPFS nodes: use Preset(amino.Config()), or a ProtocolPrefix of your own", s.Protocol)
	}
	if s.K != s.preset.K || s.judged || len(s.namespaces) > 0 || s.DisableValues || s.DisableProviders {
		return fmt.Errorf("kdht: in %s bucket size, kinds of values and subsystems are the same for all: leave their options out, or take a ProtocolPrefix of your own", s.Protocol)
	}
	return nil
}

// Preset begins with the settings of a kind of network, such as amino.Config's,
// instead of those of a private one; the other options, wherever they stand,
// change them. Bootstrap peers that are given, or none (BootstrapPeers()), replace
// those of the preset.
func Preset(cfg routing.Config) Option {
	return func(s *settings) error { s.preset = &cfg; return nil }
}

// ModeOpt is what Mode takes.
type ModeOpt = routing.Mode

// The modes; see routing.Mode.
const (
	ModeServer     = routing.ModeServer
	ModeClient     = routing.ModeClient
	ModeAuto       = routing.ModeAuto
	ModeAutoServer = routing.ModeAutoServer
)

// Mode says whether this peer serves others; ModeServer unless told otherwise.
func Mode(m ModeOpt) Option {
	return func(c *settings) error { c.Mode = m; return nil }
}

// ModeDelay is for how long reachability must ask for the other role before ModeAuto
// and ModeAutoServer take it (15 s, and longer where it comes and goes); below zero:
// at once.
func ModeDelay(d time.Duration) Option {
	return func(s *settings) error { s.Serving.ModeDelay = d; return nil }
}

// ProtocolPrefix makes the network one of your own: /<prefix>/kad/1.0.0, and its
// JSON twin /<prefix>/kad/json/1.0.0.
func ProtocolPrefix(prefix protocol.ID) Option {
	return func(s *settings) error { s.prefix = prefix; return checkPart("ProtocolPrefix", "myapp", prefix) }
}

// ProtocolExtension appends to the prefix, given before or after: /lan makes
// /<prefix>/lan/kad/1.0.0. Several are appended in order.
func ProtocolExtension(ext protocol.ID) Option {
	return func(s *settings) error { s.extension += ext; return checkPart("ProtocolExtension", "lan", ext) }
}

// checkPart refuses what is no part of a protocol id.
func checkPart(option, example string, part protocol.ID) error {
	if !strings.HasPrefix(string(part), "/") || strings.HasSuffix(string(part), "/") {
		return fmt.Errorf("kdht: %s %q: write it with a leading slash and without one at the end, as /%s", option, part, example)
	}
	return nil
}

// The beginning of the protocol ids unless told otherwise, and the ends.
const (
	defaultPrefix protocol.ID = "/kdht"
	kad           protocol.ID = "/kad/1.0.0"
	kadJSON       protocol.ID = "/kad/json/1.0.0"
)

// V1ProtocolOverride sets the whole protocol id; nothing is served as JSON. It
// contradicts ProtocolPrefix and ProtocolExtension, and New refuses it with them.
func V1ProtocolOverride(id protocol.ID) Option {
	return func(s *settings) error {
		s.override = id
		return checkPart("V1ProtocolOverride", "myapp/kad/1.0.0", id)
	}
}

// Format serves the same requests in another message format, too, under a protocol id of
// its own. Members among themselves speak the network's; see routing.NewCaller for who
// asks in this one.
func Format(id protocol.ID, codec kprotocol.Codec) Option {
	return func(s *settings) error {
		formats := maps.Clone(s.Serving.Formats) // a preset's stays as it is
		if formats == nil {
			formats = make(map[protocol.ID]kprotocol.Codec)
		}
		formats[id] = codec
		s.Serving.Formats = formats
		return nil
	}
}

// BootstrapPeers are members to begin with, and to go back to.
func BootstrapPeers(peers ...peer.AddrInfo) Option {
	return func(s *settings) error {
		s.BootstrapPeers, s.begun = append(s.BootstrapPeers, peers...), true
		return nil
	}
}

// BootstrapAddrs is BootstrapPeers for multiaddrs that end in /p2p/<peer id>.
func BootstrapAddrs(addrs ...string) Option {
	return func(c *settings) error {
		c.begun = true
		for _, a := range addrs {
			p, err := peer.AddrInfoFromString(a)
			if err != nil {
				return fmt.Errorf("kdht: bootstrap address %q: %w; give a full multiaddr such as /ip4/192.0.2.1/tcp/4001/p2p/<peer id>", a, err)
			}
			c.BootstrapPeers = append(c.BootstrapPeers, *p)
		}
		return nil
	}
}

// BootstrapPeersFunc is asked for more bootstrap peers when they are needed; see
// routing.Config.
func BootstrapPeersFunc(f func() []peer.AddrInfo) Option {
	return func(s *settings) error { s.BootstrapPeersFunc, s.begun = f, true; return nil }
}

// The profiles that AddressProfile takes; see package profile.
const (
	ProfilePrivate = profile.Private
	ProfilePublic  = profile.Public
	ProfileLAN     = profile.LAN
)

// AddressProfile says what kind of network this is: which addresses, ours and
// others', belong to it, and, unless QueryFilter or RoutingTableFilter say so, that
// only peers that have one of these belong to it. ProfilePrivate, any address, is
// the default. Give build.Config.Profile the same, or the host would dial what
// names lead to.
func AddressProfile(p profile.Profile) Option {
	return func(s *settings) error {
		if !p.Valid() {
			return fmt.Errorf("kdht: AddressProfile: there is no %s: use ProfilePrivate, ProfilePublic or ProfileLAN", p)
		}
		s.Filters.Profile = p
		return nil
	}
}

// AddressFilter keeps the addresses that belong to the network, ours and others'.
func AddressFilter(keep func([]multiaddr.Multiaddr) []multiaddr.Multiaddr) Option {
	return func(c *settings) error { c.Filters.Addresses = keep; return nil }
}

// QueryFilter says which peers that others name may be asked.
func QueryFilter(keep func(peer.AddrInfo) bool) Option {
	return func(c *settings) error { c.Filters.Query = keep; return nil }
}

// RoutingTableFilter says which peers may enter the routing table.
func RoutingTableFilter(keep func(peer.AddrInfo) bool) Option {
	return func(c *settings) error { c.Filters.Table = keep; return nil }
}

// SubnetDiversity bounds how many members of one /16 (IPv6: /32) the table, a bucket
// and an answer may have, as ProfilePublic always does; elsewhere all may share one.
func SubnetDiversity() Option {
	return func(s *settings) error { s.Filters.Subnets = true; return nil }
}

// RegionMode is what Region takes.
type RegionMode = routing.RegionMode

// The modes of Region.
const (
	RegionWhenDense = routing.RegionWhenDense
	RegionAlways    = routing.RegionAlways
	RegionNever     = routing.RegionNever
)

// Region says when records go to all peers of the region of their key, and not to the k
// nearest alone: RegionWhenDense (the default) when these lie closer together than chance
// would have it, RegionAlways, or RegionNever.
func Region(mode RegionMode) Option {
	return func(c *settings) error { c.Stores.Region = mode; return nil }
}
