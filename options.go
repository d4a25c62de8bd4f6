package kdht

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/snapshot"
	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/keystore"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/protocol"
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
		begun := s.begun
		s = settings{Config: *preset}
		if s.BootstrapPeers = slices.Clone(s.BootstrapPeers); begun {
			s.BootstrapPeers, s.BootstrapPeersFunc = nil, nil
		}
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

// FarBuckets widens the far buckets of the table: the farthest holds up to size members,
// each next half as many, down to the bucket size; at most 4096. Lookups take fewer hops,
// and each member costs a probe in ten minutes of silence and some 60 bytes besides its
// contact. 512 is for who looks up much.
func FarBuckets(size int) Option {
	return upTo(routing.MaxFarBuckets, "FarBuckets", size, func(c *settings) { c.FarBuckets = size })
}

// DisjointPaths has lookups walk on d disjoint paths, at most 8 and at most the requests of
// Concurrency, which they share: no peer is asked on two of them, so that who lies on one
// leads the others nowhere. They cost their own way to the target each. The default is one.
func DisjointPaths(d int) Option {
	return upTo(routing.MaxPaths, "DisjointPaths", d, func(c *settings) { c.Paths = d })
}

// WholeTable has the node learn the whole network by heart, again and again within a period,
// a minute at the least, so that lookups take one hop and what is stored is given at once. A
// round takes some two requests for each peer, and each takes about a hundred bytes. An hour is
// for who looks up very much. See DHT.WholeTable.
func WholeTable(period time.Duration) Option {
	return func(s *settings) error {
		if period < time.Minute {
			return fmt.Errorf("kdht: WholeTable(%v): give a minute at the least, or leave the option out", period)
		}
		s.Whole = period
		return nil
	}
}

// StrictLookups has a lookup for peers, and the one before a record is stored, ask each of
// the k nearest. Else those are not asked whom three answers have named, as long as nobody
// fails.
func StrictLookups() Option {
	return func(s *settings) error { s.Strict = true; return nil }
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

// KeyStore keeps the keys that are announced again and again in keys, so that they are after
// a restart, too. The DHT closes it.
func KeyStore(keys *keystore.Keystore) Option {
	return func(c *settings) error { c.Stores.Keys = keys; return nil }
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

// DisableLookupCache has every lookup walk its own way from the table: none begins where
// another has ended, is answered by what that has found, or joins one under way.
// WithoutCache does so for one call.
func DisableLookupCache() Option {
	return func(c *settings) error { c.Timing.Cache = -1; return nil }
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

// Trace is told what a DHT does; see routing.Trace.
type Trace = routing.Trace

// Traced has t told what the DHT does, besides those that other Traced options name:
// metrics.Prometheus(nil) counts it, tracing.OpenTelemetry(tracer) makes spans of it.
func Traced(t *Trace) Option {
	return func(s *settings) error {
		if t == nil {
			return errors.New("kdht: Traced(nil): give who is told, or leave the option out")
		}
		s.Trace = append(slices.Clip(s.Trace), t)
		return nil
	}
}
