package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

// Config is one run. Zero values mean the defaults given.
type Config struct {
	// Seed determines the run; so does everything else in here.
	Seed uint64
	// Nodes is how many members join at the beginning (100), JoinRate how many of
	// them a second of virtual time (50). The first Anchors are known to all
	// joiners, live for ever and have no faults.
	Nodes    int
	JoinRate float64
	// Settle is how long the network is left alone after the last join (1 min).
	Settle time.Duration
	// Lookups is how many lookups of random keys are made, Rate how many a second
	// of virtual time start in the whole network (20).
	Lookups int
	Rate    float64
	Link    Link
	Faults  Faults
	Churn   Churn
	// Adversaries are members that work against the others.
	Adversaries Adversaries
	// Node is what every node is configured with; its Self, Network, Rand, Admit
	// and Trace are the run's.
	Node kademlia.Config
	// MinExact is the share of lookups without a failed request that must find
	// exactly the true k nearest; 0 checks nothing.
	MinExact float64
	// Compare makes every second lookup with the walk of most deployed peers, over
	// the same tables; Report.Baseline tells of these.
	Compare bool
	Measure Measure
	Records Records
}

// Measure is what the report tells of.
type Measure struct {
	// From leaves the lookups that start within so long of the first out of the
	// report, so that it tells of the time after a fault.
	From time.Duration
	// Stores has the run's lookups announce a provider each, half of them as nodes do,
	// the others, with Compare, as most deployed peers do it. The figures of Lookups are
	// then of announcements, which end when half of the k nearest hold them, those of a
	// baseline when its lookup does: it need not wait for anybody to take what it sends.
	Stores bool
	// Memory measures the heap per node, which costs two garbage collections.
	Memory bool
}

// Link is the network between honest peers.
type Link struct {
	// RTTScale multiplies the round trips of the matrix of regions (1).
	RTTScale float64
	// Jitter is the mean of an exponential extra delay, as a share of the round
	// trip (0.05). Negative: none.
	Jitter float64
	// Loss is the share of messages of which a packet is lost and sent again.
	Loss float64
	// TCP is the share of peers that speak TCP only: a connection to them costs
	// three round trips before the request, to others, over QUIC, one.
	TCP float64
	// Public has members bound what those of a public network do: how many they dial
	// for others' sake, and how much of tables and answers a subnet gets.
	Public bool
	// Conns bounds the connections a peer keeps; the longest unused is dropped (96).
	Conns int
	// Dial is how long a dial waits for nothing (5 s), Deadline how long a request
	// does, its dial included (10 s).
	Dial, Deadline time.Duration
	Limits         Limits
}

// Faults are shares of all members but the anchors.
type Faults struct {
	// These die when the lookups begin: Refuse leaves a host that answers dials
	// with a reset, BlackHole nothing at all, Hung a process that takes
	// connections and requests and never answers.
	Refuse, BlackHole, Hung float64
	// These are so from the beginning. NATed peers serve, but only over connections
	// they opened themselves. Tarpits answer who asks for their own id, as probes
	// do, and nothing else. Clients ask and do not serve.
	NATed, Tarpit, Clients float64
	// Skew bounds how far a member's clock is off, to either side.
	Skew time.Duration
	// Partition is the share of members on the far side of a cut that begins
	// CutAfter after the first lookup and heals CutFor later.
	Partition        float64
	CutAfter, CutFor time.Duration
	// Restart, if not 0, is how long after the cut began the members on its far side
	// start anew with empty tables, JoinRate of them a second.
	Restart time.Duration
}

// Churn makes members come and go from the end of the joins on.
type Churn struct {
	// On switches it on; Scale multiplies the session lengths (1).
	On    bool
	Scale float64
	// Gap is the mean time after which another comes in place of who has left
	// (10 min), Return the share of these that are the same peer again (0.5).
	// Negative Return: none.
	Gap      time.Duration
	Return   float64
	Comeback Comeback
}

// Anchors is how many members every joiner knows beforehand.
const Anchors = 8

func orDefault[T int | float64 | time.Duration](v *T, fallback T) {
	if *v == 0 {
		*v = fallback
	}
}

// Filled returns c with the defaults in place of zeros, and an error if it has no
// meaning. Run does the same by itself.
func (c Config) Filled() (Config, error) {
	err := c.fill()
	return c, err
}

// fill fills in the defaults and checks the result.
func (c *Config) fill() error {
	orDefault(&c.Nodes, 100)
	orDefault(&c.JoinRate, 50)
	orDefault(&c.Settle, time.Minute)
	orDefault(&c.Rate, 20)
	orDefault(&c.Link.RTTScale, 1)
	orDefault(&c.Link.Jitter, 0.05)
	orDefault(&c.Link.Conns, 96)
	orDefault(&c.Link.Dial, 5*time.Second)
	orDefault(&c.Link.Deadline, 10*time.Second)
	c.Link.Limits.fill()
	orDefault(&c.Churn.Scale, 1)
	orDefault(&c.Churn.Gap, 10*time.Minute)
	orDefault(&c.Churn.Return, 0.5)
	orDefault(&c.Node.K, 20)
	orDefault(&c.Node.Alpha, 10)
	orDefault(&c.Node.Beta, 3)
	orDefault(&c.Node.Timing.Slot, time.Second)
	orDefault(&c.Node.Timing.GiveUp, 5*time.Second)
	c.Records.fill()
	orDefault(&c.Node.Timing.Replicate, c.Records.CopyEvery)
	orDefault(&c.Node.Timing.Reprovide, c.Records.Every)
	c.Churn.Comeback.fill()
	if c.Node.Validator == nil && c.Records.on() {
		c.Node.Validator = validator
	}
	if err := c.Adversaries.fill(); err != nil {
		return err
	}
	return c.check()
}

// check refuses what has no meaning.
func (c *Config) check() error {
	f := &c.Faults
	for _, share := range []float64{f.Refuse, f.BlackHole, f.Hung, f.NATed, f.Tarpit, f.Clients, f.Partition, c.Link.Loss, c.Link.TCP} {
		if !(share >= 0 && share <= 1) || c.Link.Loss == 1 {
			return errors.New("sim: a share must lie between 0 and 1, and that of lost messages below 1")
		}
	}
	if sum := f.Refuse + f.BlackHole + f.Hung + f.NATed + f.Tarpit + f.Clients; sum > 1 {
		return errors.New("sim: the shares of the faults add up to more than 1")
	}
	if c.Nodes < 2 || c.Nodes > 1<<24 || c.Lookups < 0 || c.JoinRate < 0 || c.Rate < 0 || c.Measure.From < 0 || f.Restart < 0 {
		return errors.New("sim: Nodes must be between 2 and 16 million, Lookups, JoinRate, Rate, From and Restart not negative")
	}
	if c.Churn.Scale < 0 || c.Churn.Gap < 0 || f.Skew < 0 || c.Link.RTTScale < 0 || c.Link.Conns < 1 {
		return errors.New("sim: no scale, gap, skew or bound on connections may be negative")
	}
	if c.Node.Timing.Missing > kademlia.MaxMissing {
		return fmt.Errorf("sim: Node.Timing.Missing must be %v at most", kademlia.MaxMissing)
	}
	return errors.Join(c.Records.check(), c.Churn.Comeback.check())
}
