package routing

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/keystore"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	coreprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// The protocol ids of the private preset: an overlay of one's own.
const (
	DefaultProtocol     coreprotocol.ID = "/kdht/kad/1.0.0"
	DefaultJSONProtocol coreprotocol.ID = "/kdht/kad/json/1.0.0"
)

// defaultK is the number of replicas (wire.md §19); maxK is how many peers an
// answer of ours names at most.
const (
	defaultK = 20
	maxK     = 64
)

// MaxParallel bounds Config.Alpha and Config.Beta: more requests of one lookup at
// a time are a flood.
const MaxParallel = 256

// MaxFarBuckets and MaxPaths bound Config.FarBuckets and Config.Paths.
const (
	MaxFarBuckets = kademlia.MaxFarBuckets
	MaxPaths      = kademlia.MaxPaths
)

// PrivateRate is what one peer may ask of us unless Config.Serving says
// otherwise: five times what strangers get (rpc.DefaultPeerRate), since the
// peers of a private network are its owner's own and few of them carry much,
// and still the most that one flooding peer is to be served (reliability.md P1).
// Answers to one peer have a bound of their own (P7): see rpc.Limits.Egress.
// Subnets are not limited: tests and clusters share an address.
var PrivateRate = rpc.Rate{PerSecond: 500, Burst: 1000}

// burstsOf is how many peers' rates all peers together may take of their bursts
// unless Config.Serving says otherwise (rpc.Limits.Bursts, reliability.md P2).
const burstsOf = 2

// Config is what a DHT needs. The zero value makes a serving member of a private
// network that nobody else is in yet.
type Config struct {
	// Protocol is the id that all members of the network share; empty means
	// DefaultProtocol, and then JSONProtocol is DefaultJSONProtocol. JSONProtocol
	// serves the same requests as JSON, for people; empty serves none.
	Protocol, JSONProtocol coreprotocol.ID
	// Mode says whether this peer serves the others; the zero value is ModeServer.
	Mode Mode
	// BootstrapPeers are connected to while the table is nearly empty, together
	// with those that BootstrapPeersFunc names. It is called, by one goroutine at a
	// time, when the DHT starts, and while the table is nearly empty every 5 s, or
	// every minute if one that it named is connected. It may take its time; Close
	// waits a second for it.
	BootstrapPeers     []peer.AddrInfo
	BootstrapPeersFunc func() []peer.AddrInfo
	// Validator judges values; nil means store.DefaultNamespaces.
	Validator record.Validator
	// K, Alpha, Beta, Breadth and Timing are those of kademlia.Config.
	K, Alpha, Beta int
	kademlia.Breadth
	Timing kademlia.Timing
	Parts
	// Filters say which peers and addresses belong to the network (nil: all).
	Filters Filters
	// Serving bounds and watches what is done for others.
	Serving Serving
	// Stores keep the records (zero: in memory).
	Stores Stores
}

// Parts says which subsystems are switched off, whose requests are refused and whose
// methods return ErrNotSupported, and who is told what the DHT does.
type Parts struct {
	DisableValues, DisableProviders bool
	Trace                           []*Trace
}

// Filters say which addresses and peers belong to the network. Each function may
// be nil; they are called from several goroutines, with what others send; one that
// panics has refused.
type Filters struct {
	// Profile is the kind of network: profile.Private, the zero value, lets every
	// address pass; the others only those inside, and only peers that have one which
	// leads to them directly. The functions below filter what is left, and Query and
	// Table then decide alone about peers. What is dialed after names have been
	// resolved is seen by the host alone: see build.Config.Profile.
	Profile profile.Profile
	// Subnets bounds how many members of one /16 (IPv6: /32) the table, a bucket and
	// an answer may have in a network of any profile. In profile.Public it always
	// does; elsewhere all members may share an address unless this is set.
	Subnets bool
	// Addresses keeps those addresses that are inside the network: of ourselves,
	// of peers heard of and of providers, taken and told. It must not change its
	// argument.
	Addresses func([]multiaddr.Multiaddr) []multiaddr.Multiaddr
	// Query says whether a peer named in an answer may be asked.
	Query func(peer.AddrInfo) bool
	// Table says whether a peer may enter the routing table.
	Table func(peer.AddrInfo) bool
}

// Serving is how requests of others are admitted.
type Serving struct {
	// Limit shapes the gate before the handlers; the zero Limit.PerPeer means
	// PrivateRate, a PerSecond below zero no limit; the zero Limit.Bursts means twice
	// its PerSecond, below zero that each peer's burst is its own.
	Limit rpc.LimiterConfig
	// Load bounds how many requests are handled at a time and orders those that
	// wait; a nil Load.Entitled means that half is reserved for the table's peers.
	Load rpc.LoadConfig
	// OnRequest is called with every request before it is handled, on the
	// goroutine of its stream. It must be quick and must not keep or change req.
	OnRequest RequestHook
	// Formats serve the same requests in further message formats, each under a protocol
	// id of its own, within the same limits. What they serve is not in Stats.
	Formats map[coreprotocol.ID]protocol.Codec
	// Streams bounds frames and streams; its Protocol is overwritten.
	Streams host.Config
	// ModeDelay is for how long without a break reachability must ask for the other
	// role before ModeAuto and ModeAutoServer take it: 15 s if zero, at once if below
	// zero; twice as long, up to ten minutes, with each change within an hour of the
	// last one.
	ModeDelay time.Duration
}

// RequestHook looks at a request of another peer's.
type RequestHook func(from protocol.Remote, req *protocol.Message)

// Stores are where records are kept, and what outlives a run. The DHT closes the
// stores it is given.
type Stores struct {
	// Region says when records go to the whole region of their key (zero: when the k
	// nearest peers lie closer together than chance would have it).
	Region    RegionMode
	Values    store.Values
	Providers store.Providers
	// Own keeps the values that are put again (see Republish).
	Own store.KV
	// Keys keeps the keys that are announced again and again (nil: in memory).
	Keys *keystore.Keystore
	// Table keeps the routing table's contacts between runs (nil: nobody does).
	Table Snapshots
	// MaxAge is how long a value is kept (48 h; below zero: for ever), MaxValue the longest one taken, in
	// bytes (protocol.MaxValue); both are for Values being nil.
	MaxAge   time.Duration
	MaxValue int
}

// RegionMode says when records go to, and come from, all peers near their key.
type RegionMode = kademlia.RegionMode

// The modes, as kademlia explains them.
const (
	RegionWhenDense = kademlia.RegionWhenDense
	RegionAlways    = kademlia.RegionAlways
	RegionNever     = kademlia.RegionNever
)

// AddNamespace makes v judge the values whose keys begin with /<namespace>/,
// besides the namespaces there are.
func (c *Config) AddNamespace(namespace string, v record.Validator) error {
	if namespace == "" || strings.Contains(namespace, "/") || v == nil {
		return fmt.Errorf("kdht: namespace %q: give a name without slashes, and the validator of its values", namespace)
	}
	all := store.Namespaces{}
	switch given := c.Validator.(type) {
	case nil:
		all = store.DefaultNamespaces(time.Now)
	case store.Namespaces:
		maps.Copy(all, given)
	case record.NamespacedValidator:
		maps.Copy(all, given)
	default:
		return fmt.Errorf("kdht: namespace %q cannot be added to a validator of type %T: add it there", namespace, given)
	}
	all[namespace] = v
	c.Validator = all
	return nil
}

// LimitPerPeer sets what one peer may ask of us in cost units; a perSecond below
// zero means no limit.
func (c *Config) LimitPerPeer(perSecond, burst float64) {
	c.Serving.Limit.PerPeer = rpc.Rate{PerSecond: perSecond, Burst: burst}
}

// withDefaults returns c filled in and checked.
func (c Config) withDefaults() (Config, error) {
	if c.Protocol == "" {
		c.Protocol = DefaultProtocol
		if c.JSONProtocol == "" {
			c.JSONProtocol = DefaultJSONProtocol
		}
	}
	if c.Protocol == c.JSONProtocol {
		return c, fmt.Errorf("kdht: %s cannot be both Protocol and JSONProtocol: a protocol id stands for one format", c.Protocol)
	}
	for id, codec := range c.Serving.Formats {
		if id == "" || codec == nil || id == c.Protocol || id == c.JSONProtocol {
			return c, fmt.Errorf("kdht: format %q: give a codec, and a protocol id that stands for no other format here", id)
		}
	}
	if c.Mode < ModeServer || c.Mode > ModeAutoServer {
		return c, fmt.Errorf("kdht: there is no mode %d: use ModeServer, ModeClient, ModeAuto or ModeAutoServer", c.Mode)
	}
	if !c.Filters.Profile.Valid() {
		return c, fmt.Errorf("kdht: there is no %s: use profile.Private, profile.Public or profile.LAN", c.Filters.Profile)
	}
	if max := c.Stores.MaxValue; max < 0 || max > protocol.MaxFrame/2 {
		return c, fmt.Errorf("kdht: MaxValue is %d: a value must fit a message, so at most %d", max, protocol.MaxFrame/2)
	}
	for _, p := range c.BootstrapPeers {
		if err := p.ID.Validate(); err != nil {
			return c, errors.New("kdht: a bootstrap peer has no id: give full multiaddrs, ending in /p2p/<peer id>")
		}
	}
	c.BootstrapPeers = slices.Clone(c.BootstrapPeers)
	if c.Validator == nil {
		c.Validator = store.DefaultNamespaces(time.Now)
	}
	if c.K == 0 {
		c.K = defaultK
	}
	if c.Alpha > MaxParallel || c.Beta > MaxParallel {
		return c, fmt.Errorf("kdht: Alpha is %d and Beta %d: give %d at most", c.Alpha, c.Beta, MaxParallel)
	}
	if c.K < 0 || c.K > maxK {
		return c, fmt.Errorf("kdht: K is %d: give 1 to %d", c.K, maxK)
	}
	if c.Serving.Limit.PerPeer == (rpc.Rate{}) {
		c.Serving.Limit.PerPeer = PrivateRate
	}
	if c.Serving.Limit.Bursts == 0 {
		c.Serving.Limit.Bursts = burstsOf * c.Serving.Limit.PerPeer.PerSecond
	}
	if c.Serving.ModeDelay == 0 {
		c.Serving.ModeDelay = firstHold
	}
	c.Serving.Streams.Protocol = c.Protocol
	return c, nil
}
