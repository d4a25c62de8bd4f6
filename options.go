package kdht

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kdht/kdht/routing"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// Option sets one thing about a DHT. Options are applied in order.
type Option func(*routing.Config) error

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
	return func(c *routing.Config) error { c.Mode = m; return nil }
}

// ProtocolPrefix makes the network one of your own: /<prefix>/kad/1.0.0, and its
// JSON twin /<prefix>/kad/json/1.0.0.
func ProtocolPrefix(prefix protocol.ID) Option {
	return func(c *routing.Config) error {
		if !strings.HasPrefix(string(prefix), "/") || strings.HasSuffix(string(prefix), "/") {
			return fmt.Errorf("kdht: protocol prefix %q: write it with a leading slash and without one at the end, as /myapp", prefix)
		}
		c.Protocol, c.JSONProtocol = prefix+kad, prefix+kadJSON
		return nil
	}
}

// ProtocolExtension appends to the prefix: /lan makes /<prefix>/lan/kad/1.0.0.
func ProtocolExtension(ext protocol.ID) Option {
	return func(c *routing.Config) error {
		id := c.Protocol
		if id == "" {
			id = routing.DefaultProtocol
		}
		prefix, ok := strings.CutSuffix(string(id), kad)
		if !ok {
			return fmt.Errorf("kdht: the protocol id %s has no prefix to extend: use ProtocolPrefix", id)
		}
		return ProtocolPrefix(protocol.ID(prefix) + ext)(c)
	}
}

// The ends of the protocol ids of a network.
const (
	kad     = "/kad/1.0.0"
	kadJSON = "/kad/json/1.0.0"
)

// V1ProtocolOverride sets the whole protocol id; nothing is served as JSON.
func V1ProtocolOverride(id protocol.ID) Option {
	return func(c *routing.Config) error { c.Protocol, c.JSONProtocol = id, ""; return nil }
}

// BucketSize sets k, the number of replicas and the size of a bucket (20).
func BucketSize(k int) Option {
	return positive("BucketSize", k, func(c *routing.Config) { c.K = k })
}

// Concurrency sets α, how many requests of a lookup are under way (10).
func Concurrency(alpha int) Option {
	return positive("Concurrency", alpha, func(c *routing.Config) { c.Alpha = alpha })
}

// Resiliency sets β, how many of the nearest end the search for nearer ones (3).
func Resiliency(beta int) Option {
	return positive("Resiliency", beta, func(c *routing.Config) { c.Beta = beta })
}

// BootstrapPeers are members to begin with, and to go back to.
func BootstrapPeers(peers ...peer.AddrInfo) Option {
	return func(c *routing.Config) error { c.BootstrapPeers = append(c.BootstrapPeers, peers...); return nil }
}

// BootstrapAddrs is BootstrapPeers for multiaddrs that end in /p2p/<peer id>.
func BootstrapAddrs(addrs ...string) Option {
	return func(c *routing.Config) error {
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

// BootstrapPeersFunc is asked for more bootstrap peers each time they are needed.
func BootstrapPeersFunc(f func() []peer.AddrInfo) Option {
	return func(c *routing.Config) error { c.BootstrapPeersFunc = f; return nil }
}

// Validator judges all values, instead of the built-in kinds.
func Validator(v record.Validator) Option {
	return func(c *routing.Config) error { c.Validator = v; return nil }
}

// NamespacedValidator adds a kind of values: keys that begin with /<namespace>/.
func NamespacedValidator(namespace string, v record.Validator) Option {
	return func(c *routing.Config) error { return c.AddNamespace(namespace, v) }
}

// DisableValues switches values off: this peer neither keeps nor looks for any.
func DisableValues() Option {
	return func(c *routing.Config) error { c.DisableValues = true; return nil }
}

// DisableProviders switches provider records off.
func DisableProviders() Option {
	return func(c *routing.Config) error { c.DisableProviders = true; return nil }
}

// MaxRecordAge is how long a value is kept since it was last put (48 h).
func MaxRecordAge(age time.Duration) Option {
	return func(c *routing.Config) error { c.Stores.MaxAge = age; return nil }
}

// MaxValueSize is the longest value kept, in bytes (64 KiB).
func MaxValueSize(bytes int) Option {
	return positive("MaxValueSize", bytes, func(c *routing.Config) { c.Stores.MaxValue = bytes })
}

// RoutingTableRefreshPeriod is how often the table is refreshed (10 min).
func RoutingTableRefreshPeriod(period time.Duration) Option {
	return func(c *routing.Config) error {
		if period <= 0 {
			return errors.New("kdht: RoutingTableRefreshPeriod must be above zero; DisableAutoRefresh switches it off")
		}
		c.Timing.Refresh = period
		return nil
	}
}

// DisableAutoRefresh leaves refreshing to your calls of Refresh.
func DisableAutoRefresh() Option {
	return func(c *routing.Config) error { c.Timing.Refresh = -1; return nil }
}

// OnRequestHook sees every request of others before it is handled.
func OnRequestHook(hook routing.RequestHook) Option {
	return func(c *routing.Config) error { c.Serving.OnRequest = hook; return nil }
}

// RequestRate is what one peer may ask of us: cost units per second, where a
// FIND_NODE costs 1 and a PUT_VALUE 5, and how many at once. A perSecond below
// zero sets no limit. The default is routing.PrivateRate.
func RequestRate(perSecond, burst float64) Option {
	return func(c *routing.Config) error { c.LimitPerPeer(perSecond, burst); return nil }
}

// AddressFilter keeps the addresses that belong to the network, ours and others'.
func AddressFilter(keep func([]multiaddr.Multiaddr) []multiaddr.Multiaddr) Option {
	return func(c *routing.Config) error { c.Filters.Addresses = keep; return nil }
}

// QueryFilter says which peers that others name may be asked.
func QueryFilter(keep func(peer.AddrInfo) bool) Option {
	return func(c *routing.Config) error { c.Filters.Query = keep; return nil }
}

// RoutingTableFilter says which peers may enter the routing table.
func RoutingTableFilter(keep func(peer.AddrInfo) bool) Option {
	return func(c *routing.Config) error { c.Filters.Table = keep; return nil }
}

// positive sets a figure that must be above zero.
func positive(name string, n int, set func(*routing.Config)) Option {
	return func(c *routing.Config) error {
		if n <= 0 {
			return fmt.Errorf("kdht: %s is %d and must be above zero; leave it out for the default", name, n)
		}
		set(c)
		return nil
	}
}
