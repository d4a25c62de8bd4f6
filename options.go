package kdht

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/snapshot"
	"github.com/kdht/kdht/store"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// Option sets one thing about a DHT. The order of options does not matter, except
// that of two of the same kind the later one holds; those that name several
// things, as BootstrapPeers, add to each other.
type Option func(*settings) error

// settings is what options make: a configuration, and what can only be judged
// when all of them are known.
type settings struct {
	routing.Config
	preset                      *routing.Config
	prefix, extension, override protocol.ID
	namespaces                  []namespaced
	judged, begun               bool // Validator, or peers to begin with, are given
}

type namespaced struct {
	name  string
	rules record.Validator
}

// Configure returns the configuration that options make, as New gives it to
// routing.New. The error says which of them is wrong or contradicts another.
func Configure(opts ...Option) (routing.Config, error) {
	var s settings
	err := s.apply(opts)
	if preset := s.preset; err == nil && preset != nil { // the others change it
		s = settings{Config: *preset}
		s.BootstrapPeers = nil
		err = s.apply(opts)
	}
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		return routing.Config{}, err
	}
	return s.Config, nil
}

func (s *settings) apply(opts []Option) error {
	for i, apply := range opts {
		if apply == nil {
			return fmt.Errorf("kdht: option %d of %d is nil: leave it out", i+1, len(opts))
		}
		if err := apply(s); err != nil {
			return err
		}
	}
	return nil
}

// finish does what depends on several options.
func (s *settings) finish() error {
	base, json := defaultPrefix, true
	if s.preset != nil {
		if !s.begun {
			s.BootstrapPeers = slices.Clone(s.preset.BootstrapPeers)
		}
		base, json = protocol.ID(strings.TrimSuffix(string(s.preset.Protocol), string(kad))), s.preset.JSONProtocol != ""
	}
	switch {
	case s.override != "" && (s.prefix != "" || s.extension != ""):
		return fmt.Errorf("kdht: V1ProtocolOverride sets the whole protocol id %s: leave out ProtocolPrefix and ProtocolExtension", s.override)
	case s.override != "":
		s.Protocol, s.JSONProtocol = s.override, ""
	case s.prefix != "" || s.extension != "":
		prefix := cmp.Or(s.prefix, base) + s.extension
		if s.Protocol = prefix + kad; json {
			s.JSONProtocol = prefix + kadJSON
		}
	}
	if err := s.checkShared(); err != nil {
		return err
	}
	for _, n := range s.namespaces {
		if err := s.AddNamespace(n.name, n.rules); err != nil {
			return err
		}
	}
	return nil
}

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

// BucketSize sets k, the number of replicas and the size of a bucket (20).
func BucketSize(k int) Option {
	return positive("BucketSize", k, func(c *settings) { c.K = k })
}

// Concurrency sets α, how many requests of a lookup are under way (10); at most
// routing.MaxParallel.
func Concurrency(alpha int) Option {
	return upTo(routing.MaxParallel, "Concurrency", alpha, func(c *settings) { c.Alpha = alpha })
}

// Resiliency sets β, how many of the nearest end the search for nearer ones (3); at
// most routing.MaxParallel.
func Resiliency(beta int) Option {
	return upTo(routing.MaxParallel, "Resiliency", beta, func(c *settings) { c.Beta = beta })
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

// Validator judges all values, instead of the built-in kinds.
func Validator(v record.Validator) Option {
	return func(s *settings) error { s.Validator, s.judged = v, true; return nil }
}

// NamespacedValidator adds a kind of values: keys that begin with /<namespace>/.
// They are added to what Validator gives, wherever that stands.
func NamespacedValidator(namespace string, v record.Validator) Option {
	return func(s *settings) error {
		s.namespaces = append(s.namespaces, namespaced{namespace, v})
		return nil
	}
}

// DisableValues switches values off: this peer neither keeps nor looks for any.
func DisableValues() Option {
	return func(c *settings) error { c.DisableValues = true; return nil }
}

// DisableProviders switches provider records off.
func DisableProviders() Option {
	return func(c *settings) error { c.DisableProviders = true; return nil }
}

// ValueStore keeps values in s instead of in memory. The DHT closes it. It keeps its
// own rules and bounds: Validator, MaxRecordAge and MaxValueSize are not its.
func ValueStore(s store.Values) Option {
	return func(c *settings) error { c.Stores.Values = s; return nil }
}

// ProviderStore keeps provider records in s instead of in memory. The DHT closes it.
func ProviderStore(s store.Providers) Option {
	return func(c *settings) error { c.Stores.Providers = s; return nil }
}

// PublishedStore keeps the values that were put with Republish in kv, so that they
// are put again after a restart, too. The DHT closes it.
func PublishedStore(kv store.KV) Option {
	return func(c *settings) error { c.Stores.Own = kv; return nil }
}

// MaxRecordAge is how long a value is kept since it was last put (48 h), at least a
// second; below zero: for ever.
func MaxRecordAge(age time.Duration) Option {
	return func(c *settings) error {
		if age >= 0 && age < time.Second {
			return fmt.Errorf("kdht: MaxRecordAge is %v: give a second or more, a negative age for ever, or leave it out for 48 h", age)
		}
		c.Stores.MaxAge = age
		return nil
	}
}

// MaxValueSize is the longest value kept, in bytes (64 KiB).
func MaxValueSize(bytes int) Option {
	return positive("MaxValueSize", bytes, func(c *settings) { c.Stores.MaxValue = bytes })
}

// RoutingTableFile keeps the routing table's contacts in a file over restarts: a
// peer that comes back verifies them and so knows its network again, even if every
// bootstrap peer is gone. One running DHT has the file; its directory must exist.
func RoutingTableFile(path string) Option {
	return func(c *settings) error {
		if path == "" {
			return errors.New("kdht: RoutingTableFile has no path: give that of a file, or leave the option out")
		}
		c.Stores.Table = snapshot.NewFile(path)
		return nil
	}
}

// RoutingTableRefreshPeriod is how often the table is refreshed (10 min).
func RoutingTableRefreshPeriod(period time.Duration) Option {
	return func(c *settings) error {
		if period <= 0 {
			return errors.New("kdht: RoutingTableRefreshPeriod must be above zero; DisableAutoRefresh switches it off")
		}
		c.Timing.Refresh = period
		return nil
	}
}

// DisableAutoRefresh leaves refreshing to your calls of Refresh.
func DisableAutoRefresh() Option {
	return func(c *settings) error { c.Timing.Refresh = -1; return nil }
}

// OnRequestHook sees every request of others before it is handled.
func OnRequestHook(hook routing.RequestHook) Option {
	return func(c *settings) error { c.Serving.OnRequest = hook; return nil }
}

// RequestRate is what one peer may ask of us: cost units per second, where a
// FIND_NODE costs 1 and a PUT_VALUE 5, and how many at once (burst 0: ten times
// perSecond). A perSecond below zero sets no limit; zero is refused. The default is
// routing.PrivateRate.
func RequestRate(perSecond, burst float64) Option {
	return func(c *settings) error {
		if perSecond == 0 || math.IsNaN(perSecond) || math.IsNaN(burst) || burst < 0 {
			return fmt.Errorf("kdht: RequestRate(%v, %v): give how much per second, above zero, and at once; a negative rate sets no limit", perSecond, burst)
		}
		c.LimitPerPeer(perSecond, burst)
		return nil
	}
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

// positive sets a figure that must be above zero.
func positive(name string, n int, set func(*settings)) Option {
	return upTo(math.MaxInt, name, n, set)
}

// upTo sets a figure that must be above zero and no greater than limit.
func upTo(limit int, name string, n int, set func(*settings)) Option {
	return func(s *settings) error {
		switch {
		case n <= 0:
			return fmt.Errorf("kdht: %s is %d and must be above zero; leave it out for the default", name, n)
		case n > limit:
			return fmt.Errorf("kdht: %s is %d, at most %d is possible", name, n, limit)
		}
		set(s)
		return nil
	}
}
