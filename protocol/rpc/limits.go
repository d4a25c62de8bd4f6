package rpc

import "math"

// Limits are the figures that a limiter holds peers to. They may change while it
// works.
type Limits struct {
	// PerPeer is each peer's rate; the zero Rate means DefaultPeerRate.
	PerPeer Rate
	// Total is the whole process's rate; the zero Rate means Unlimited.
	Total Rate
	// Near is how many times a peer's rate a /24 (IPv4) or /56 (IPv6) gets, Far a
	// /16 or /48; 0 means that subnets are not limited. Senders without an IP are in
	// no subnet.
	Near, Far float64
	// Egress is how many bytes of answers a second each peer is sent, and four times
	// as many at once, besides what answers cost in units; 0 means DefaultEgress, or
	// no bound if PerPeer sets none; below zero no bound.
	Egress float64
	// Bursts is how many units a second all peers together may take of their bursts,
	// besides an opening that each has to itself (see openingShare), and two peers'
	// bursts at once: beyond it, peers are paused to their rates. 0 or less: each
	// peer's burst is its own, however many come at a time.
	Bursts float64
}

// openingShare of a peer's burst it has at once whatever the others do: more than
// a lookup asks of one peer, and 32 peers' are two peers' bursts.
const openingShare = 1. / 16

// sharedBursts is how many peers' bursts there are at once for all of them.
const sharedBursts = 2

// DefaultPeerRate is what one peer gets unless told otherwise: far above what
// honest peers ask for but in bursts (reliability.md §3).
var DefaultPeerRate = Rate{PerSecond: 100, Burst: 1000}

// DefaultEgress is what one peer may cost of our uplink (reliability.md P7).
const DefaultEgress = 1e6

// Subnets get a multiple of a peer's rate (DESIGN §8).
const (
	NearFactor = 8  // a /24 or a /56
	FarFactor  = 32 // a /16 or a /48
)

// filled returns l with every zero field set to what it means.
func (l Limits) filled() Limits {
	if l.PerPeer == (Rate{}) {
		l.PerPeer = DefaultPeerRate
	}
	switch {
	case l.Egress == 0 && l.PerPeer.PerSecond < 0:
		l.Egress = -1
	case l.Egress == 0:
		l.Egress = DefaultEgress
	}
	l.PerPeer, l.Total = l.PerPeer.filled(), l.Total.filled()
	return l
}

// egressBurst is how many seconds' worth of answers a peer gets at once.
const egressBurst = 4

// egress returns the rate of answers in bytes.
func (l Limits) egress() Rate { return Rate{PerSecond: l.Egress, Burst: egressBurst * l.Egress} }

// opening returns what a peer's share of its own burst is filled with; it limits
// nothing unless bursts are shared.
func (l Limits) opening() Rate {
	r := Rate{PerSecond: l.PerPeer.PerSecond, Burst: openingShare * l.PerPeer.Burst}
	if !l.shared().limited() {
		r.PerSecond = Unlimited.PerSecond
	}
	return r
}

// shared returns what is there for all peers' bursts.
func (l Limits) shared() Rate {
	return Rate{PerSecond: l.Bursts, Burst: sharedBursts * l.PerPeer.Burst}
}

// Valid reports whether all figures are numbers that make sense; Set takes others
// as well, but nobody is served what they say.
func (l Limits) Valid() bool {
	for _, x := range [...]float64{l.PerPeer.PerSecond, l.PerPeer.Burst, l.Total.PerSecond, l.Total.Burst, l.Near, l.Far, l.Egress, l.Bursts} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return l.PerPeer.Burst >= 0 && l.Total.Burst >= 0 && l.Near >= 0 && l.Far >= 0
}

// Set changes the limits from now on. Levels stay, but none stays above its new
// burst. The buckets for all peers together start full when they begin to limit.
func (l *Limiter) Set(to Limits) {
	to = to.filled()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.limits.Total.limited() {
		l.all.level = to.Total.Burst
	}
	if !l.limits.shared().limited() {
		l.shared.level = to.shared().Burst
	}
	l.limits = to
}

// Limits returns the limits in force, all fields set.
func (l *Limiter) Limits() Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits
}
