package rpc

import (
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kdht/kdht/protocol"
)

// Costs of requests and bytes in units (reliability.md §3, last paragraphs).
const (
	unitBytesIn  = 16 << 10
	unitBytesOut = 8 << 10
	otherCost    = 1 // of a frame whose type has no meaning
)

// defaultCosts are the units of each type of request, bytes not counted.
var defaultCosts = [protocol.NumTypes]float64{
	protocol.PutValue: 5, protocol.GetValue: 1, protocol.AddProvider: 1,
	protocol.GetProviders: 2, protocol.FindNode: 1, protocol.Ping: 0.2,
}

// LimiterConfig shapes a limiter. The zero value is a good one.
type LimiterConfig struct {
	// PerPeer is each peer's rate; the zero Rate means DefaultPeerRate.
	PerPeer Rate
	// Total is the whole process's rate; the zero Rate means Unlimited.
	Total Rate
	// Subnets gives every /24 (IPv4) or /56 (IPv6) 8 times a peer's rate, and
	// every /16 or /48 32 times. Senders without an IP are in no subnet.
	Subnets bool
	// Egress bounds the answers sent to one peer in bytes a second, see Limits.
	Egress float64
	// Bursts bounds what all peers together take of their bursts, see Limits.
	Bursts float64
	// MaxPeers is how many peers (and how many subnets) are told apart; 0 means
	// 4096, about 1.5 MB. Beyond it the longest silent one is forgotten.
	MaxPeers int
	// MaxDebt is the deepest debt as time to pay it off; 0 means 5 s.
	MaxDebt time.Duration
	// Costs are the units of each type; 0 means the default.
	Costs [protocol.NumTypes]float64
}

// Limiter is a Gate of token buckets: one per peer, and one for the bytes it is
// sent, optionally one per subnet, one in total, one for bursts. Each request costs units by type and by size, answers cost units
// by size. Who is in debt is paused until it is paid; who is so deep in debt that
// not even the pauses can have been kept is refused with ErrLimited.
//
// In any time t a bucket serves at most burst + rate*t + its deepest debt, which
// is MaxDebt*rate or one request, whichever is more, and the answers to what it
// served last. Debt of the total bucket is laid on the peers by how empty their
// own buckets are: a quiet peer with a full bucket is hardly paused, and refused
// only when the total debt is at its bound; a busy one is refused at half of it.
//
// Where bursts are shared (Limits.Bursts), few peers in a hurry have their whole
// bursts, and many at once are paused to their rates, each after an opening of its
// own: so a crowd of strangers cannot ask in one moment for what takes a second to
// serve, during which all others wait.
//
// A new peer starts with a full burst while the table has room or the longest
// silent peer has refilled; under churn pressure it starts with what that peer
// has left (see buckets). A clock set back costs nobody anything but the time
// it takes to notice, at most a second. Memory is bounded by MaxPeers. Methods
// may be called from any goroutine.
type Limiter struct {
	costs   [protocol.NumTypes]float64
	maxDebt float64 // seconds

	mu     sync.Mutex
	limits Limits    // filled
	epoch  time.Time // what bucket times count from
	peers  *buckets[peer.ID]
	egress *buckets[peer.ID] // of bytes
	near   *buckets[netip.Prefix]
	far    *buckets[netip.Prefix]
	all    bucket
	stats  LimiterStats

	openings *buckets[peer.ID]
	shared   bucket
}

// LimiterStats is a snapshot of what a limiter has done.
type LimiterStats struct {
	Admitted uint64        // requests, paused ones included
	Paused   uint64        // admitted in debt
	Pause    time.Duration // sum of all pauses asked for
	Billed   float64       // units of extra work
	// Refused, by whose debt it was.
	LimitedByPeer, LimitedByEgress, LimitedBySubnet, LimitedInTotal uint64

	Peers          int    // held now
	Forgotten      uint64 // peers that made room for others
	ForgottenEarly uint64 // of these, before they had refilled
}

// NewLimiter returns a limiter with full buckets.
func NewLimiter(cfg LimiterConfig) *Limiter {
	if cfg.MaxPeers <= 0 {
		cfg.MaxPeers = 4096
	}
	if cfg.MaxDebt <= 0 {
		cfg.MaxDebt = 5 * time.Second
	}
	for t, c := range defaultCosts {
		if cfg.Costs[t] <= 0 {
			cfg.Costs[t] = c
		}
	}
	l := &Limiter{
		costs: cfg.Costs, maxDebt: cfg.MaxDebt.Seconds(),
		peers:  newBuckets[peer.ID](cfg.MaxPeers),
		egress: newBuckets[peer.ID](cfg.MaxPeers),
		near:   newBuckets[netip.Prefix](cfg.MaxPeers),
		far:    newBuckets[netip.Prefix](cfg.MaxPeers),

		openings: newBuckets[peer.ID](cfg.MaxPeers),
	}
	limits := Limits{PerPeer: cfg.PerPeer, Total: cfg.Total, Egress: cfg.Egress, Bursts: cfg.Bursts}
	if cfg.Subnets {
		limits.Near, limits.Far = NearFactor, FarFactor
	}
	l.Set(limits)
	return l
}

// Stats returns a snapshot.
func (l *Limiter) Stats() LimiterStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Peers, s.Forgotten, s.ForgottenEarly = l.peers.len(), l.peers.evicted, l.peers.early
	return s
}

// Admit implements Gate: it charges a request of type t and of size bytes, or
// refuses it and charges nothing (but see insist).
func (l *Limiter) Admit(now time.Time, from protocol.Remote, t protocol.Type, size int) (time.Duration, error) {
	cost := float64(otherCost)
	if t.Valid() {
		cost = l.costs[t]
	}
	cost += float64(size) / unitBytesIn
	l.mu.Lock()
	defer l.mu.Unlock()
	bill := l.bill(now, from)
	if refusal := bill.refusal(cost, l.maxDebt); refusal != byNobody {
		if refusal == inTotal {
			bill.insist(cost)
		}
		*l.limitedBy(refusal)++
		bill.note(refusal, true)
		return 0, ErrLimited
	}
	pause, because := bill.pay(cost, 0)
	l.stats.Admitted++
	if pause > 0 {
		pause = min(pause, l.maxPause())
		l.stats.Paused++
		l.stats.Pause += pause
		bill.note(because, false)
	}
	return pause, nil
}

// Charge counts size bytes of answer to from, which may put it deeper into debt
// than any request would, and returns how long to pause.
func (l *Limiter) Charge(now time.Time, from protocol.Remote, size int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.charge(now, from, float64(size)/unitBytesOut, float64(size))
}

// Bill is Charge for units of work: what a request turned out to cost beyond what
// one of its type and size does.
func (l *Limiter) Bill(now time.Time, from protocol.Remote, units float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Billed += units
	return l.charge(now, from, units, 0)
}

func (l *Limiter) charge(now time.Time, from protocol.Remote, units, bytes float64) time.Duration {
	bill := l.bill(now, from)
	pause, _ := bill.pay(units, bytes)
	return min(pause, l.maxPause())
}

// maxPause bounds a pause: who owes more is refused when the pause is over.
func (l *Limiter) maxPause() time.Duration {
	return time.Duration(l.maxDebt * float64(time.Second))
}

// limitedBy returns the counter of refusals because of p.
func (l *Limiter) limitedBy(p payer) *uint64 {
	switch p {
	case byPeer:
		return &l.stats.LimitedByPeer
	case byEgress:
		return &l.stats.LimitedByEgress
	case inTotal:
		return &l.stats.LimitedInTotal
	}
	return &l.stats.LimitedBySubnet
}
