package kademlia

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Config is what a Node needs. Self, Network and Rand must be set; every other
// zero value means the default given.
type Config struct {
	Self    peer.ID
	Network Network
	// Rand is the only source of randomness; the Node alone draws from it.
	Rand *rand.Rand
	// Validator judges values found (nil: every value is valid, the first wins).
	Validator Validator
	// K is the number of replicas and the size of a bucket (20), Alpha the number
	// of requests of a lookup in flight (10), Beta how many of the nearest must
	// have answered before a lookup turns to its end (3) (wire.md §19).
	K, Alpha, Beta int
	Breadth
	Timing Timing
	Filters
	// Known returns a contact shared with other nodes that says all that p says, or
	// nil (nil: never). Simulations have one; it must not remember p.
	Known func(p *protocol.Peer) *Contact
	// Region says when records go to, and come from, all peers near their key.
	Region RegionMode
	// Connected says whether a peer can be asked without a dial, and from which address
	// it is connected if that is known and its own. Lookups then dial no more for
	// others' sake than reliability.md P12 allows (nil: there are no dials).
	Connected func(id peer.ID) (from netip.Addr, connected bool)
	// Locate says where a dial to an address goes: false for names and relays. No
	// subnet then gets more than its share of dials, tables and results (nil: peers
	// may share their address).
	Locate func(addr []byte) (netip.AddrPort, bool)
	// Trace watches (nil: nobody).
	Trace *Trace
}

// Breadth is what lookups rest on besides K, Alpha and Beta, each at a cost.
type Breadth struct {
	// FarBuckets is how many members the farthest bucket of the table holds at most, each
	// next half as many, down to K (0: K; at most 4096). Lookups are shorter, and all of
	// these members are kept verified.
	FarBuckets int
	// Paths is on how many disjoint paths lookups walk (0: 1; at most 8, and at most Alpha,
	// which is divided among them), so that who lies on one cannot lead the others astray.
	// Every path costs its own way to the target.
	Paths int
	// Whole has the whole network be learnt by heart within that time, again and again, so
	// that lookups take one hop (0: not; a minute at the least). It is not for those who want
	// little traffic: a round takes some two requests for each peer there is.
	Whole time.Duration
	// Strict has each of the k nearest be asked, also where those who have answered all
	// name the others.
	Strict bool
}

// Filters say what of others is taken. They may be nil.
type Filters struct {
	// TakeAddrs cuts a peer's addresses to those we would dial (nil: all). It
	// may return its argument but must not change it.
	TakeAddrs func(addrs [][]byte) [][]byte
	// Admit says whether a peer may enter the table (nil: every one).
	Admit func(c *Contact) bool
	// Follow says whether a peer named in an answer may be asked (nil: every one).
	Follow func(c *Contact) bool
}

// Timing holds the Node's periods and patience; zero values mean the default
// given, a negative period switches its activity off.
type Timing struct {
	// Slot is how long a request may hold one of the α slots at most (1 s), GiveUp
	// how long it is waited for at all (5 s). Lookups learn from the answers they
	// get to be less patient, down to 300 ms and a second. A late answer counts all the same.
	Slot, GiveUp time.Duration
	// Probe is how long a member may be silent before it is probed (10 min);
	// Suspect is the same when a newcomer waits for its place (5 min).
	Probe, Suspect time.Duration
	// Refresh is the period of the table's refresh (10 min, wire.md §10).
	Refresh time.Duration
	// Reprovide is the period of announcing own keys again (22 h, wire.md §8),
	// Retry the pause after an announcement that reached nobody (5 min).
	Reprovide, Retry time.Duration
	// Republish is the period of storing own values again (22 h), Replicate how soon
	// after a change in the table values are given to who is near to them now (1 h).
	Republish, Replicate time.Duration
	// Cache is how long the end of a lookup is remembered as the beginning of
	// another to the same key (2 min); negative: nothing is remembered, and no lookup is
	// shared. Fresh is how long it answers the same question by itself (10 s), Missing how
	// long that there is no record is believed (5 s; at most a minute).
	Cache, Fresh, Missing time.Duration
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// fill fills in the defaults and refuses what has no meaning.
func (t *Timing) fill() error {
	orDefault(&t.Slot, time.Second)
	orDefault(&t.GiveUp, 5*time.Second)
	orDefault(&t.Probe, 10*time.Minute)
	orDefault(&t.Suspect, 5*time.Minute)
	orDefault(&t.Refresh, 10*time.Minute)
	orDefault(&t.Reprovide, 22*time.Hour)
	orDefault(&t.Retry, 5*time.Minute)
	orDefault(&t.Republish, 22*time.Hour)
	orDefault(&t.Replicate, time.Hour)
	orDefault(&t.Cache, 2*time.Minute)
	orDefault(&t.Fresh, 10*time.Second)
	orDefault(&t.Missing, 5*time.Second)
	if t.Slot < 0 || t.GiveUp < t.Slot || t.Retry < 0 {
		return errors.New("kademlia: Timing: Slot and Retry must be above zero, and GiveUp no shorter than Slot")
	}
	if t.Missing > MaxMissing {
		return fmt.Errorf("kademlia: Timing.Missing is %v: records would stay hidden for so long; give %v at most", t.Missing, MaxMissing)
	}
	return nil
}

// check fills in the defaults and says what is missing.
func (c *Config) check() error {
	if err := c.Self.Validate(); err != nil {
		return errors.New("kademlia: Config.Self is not a peer id")
	}
	if c.Network == nil || c.Rand == nil {
		return errors.New("kademlia: Config.Network and Config.Rand must be set")
	}
	if c.Region > RegionNever {
		return fmt.Errorf("kademlia: Config.Region is %d, which is no RegionMode", c.Region)
	}
	if c.K < 0 || c.Alpha < 0 || c.Beta < 0 {
		return errors.New("kademlia: K, Alpha and Beta must not be negative")
	}
	for _, d := range []struct{ value, fallback *int }{{&c.K, &defaultK}, {&c.Alpha, &defaultAlpha}, {&c.Beta, &defaultBeta}} {
		if *d.value == 0 {
			*d.value = *d.fallback
		}
	}
	if c.K > maxReplicas {
		return fmt.Errorf("kademlia: K is %d, at most %d: more do not fit an answer", c.K, maxReplicas)
	}
	if c.FarBuckets < 0 || c.FarBuckets > MaxFarBuckets {
		return fmt.Errorf("kademlia: Config.FarBuckets is %d: give 0 for buckets of K, or at most %d", c.FarBuckets, MaxFarBuckets)
	}
	if c.Whole != 0 && c.Whole < time.Minute {
		return fmt.Errorf("kademlia: Config.Whole is %v: give 0 for never, or a minute at the least", c.Whole)
	}
	if c.Paths < 0 || c.Paths > min(MaxPaths, c.Alpha) {
		return fmt.Errorf("kademlia: Config.Paths is %d: give %d at most, since each path needs one of Alpha's %d requests", c.Paths, min(MaxPaths, c.Alpha), c.Alpha)
	}
	return c.Timing.fill()
}

// The constants of deployed peers (wire.md §19).
var defaultK, defaultAlpha, defaultBeta = 20, 10, 3
