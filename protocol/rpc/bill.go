package rpc

import (
	"net/netip"
	"time"

	"github.com/kdht/kdht/protocol"
)

// payer says whose bucket a line of a bill is.
type payer int

const (
	byPeer payer = iota
	byEgress
	byBursts // of the peer's opening
	byNear
	byFar
	inTotal
	payers
	byNobody payer = -1
)

// bill is all the buckets that one request is charged to, refilled to now. A
// bucket that limits nothing is nil.
type bill struct {
	buckets [payers]*bucket
	rates   [payers]Rate
	shared  *bucket // of all peers' bursts
}

// bill finds the buckets of from. The lock is held, and stays held while the
// bill is in use.
func (l *Limiter) bill(now time.Time, from protocol.Remote) bill {
	if l.epoch.IsZero() {
		l.epoch = now
	}
	at := int64(now.Sub(l.epoch))
	var b bill
	if r := l.limits.PerPeer; r.limited() {
		b.buckets[byPeer], b.rates[byPeer] = l.peers.get(from.Peer, at, r), r
		if from.IP.IsValid() && l.limits.Near+l.limits.Far > 0 {
			l.billSubnets(&b, from.IP, at)
		}
		if r := l.limits.opening(); r.limited() {
			b.buckets[byBursts], b.rates[byBursts] = l.openings.get(from.Peer, at, r), r
			l.shared.refill(at, l.limits.shared())
			b.shared = &l.shared
		}
	}
	if r := l.limits.egress(); r.limited() {
		b.buckets[byEgress], b.rates[byEgress] = l.egress.get(from.Peer, at, r), r
	}
	if r := l.limits.Total; r.limited() {
		l.all.refill(at, r)
		b.buckets[inTotal], b.rates[inTotal] = &l.all, r
	}
	return b
}

// billSubnets finds the buckets of ip's subnets.
func (l *Limiter) billSubnets(b *bill, ip netip.Addr, at int64) {
	near, far := subnetsOf(ip)
	if r := l.rate(byNear); r.limited() {
		b.buckets[byNear], b.rates[byNear] = l.near.get(near, at, r), r
	}
	if r := l.rate(byFar); r.limited() {
		b.buckets[byFar], b.rates[byFar] = l.far.get(far, at, r), r
	}
}

// rate returns the rate in force for p.
func (l *Limiter) rate(p payer) Rate {
	switch p {
	case byPeer:
		return l.limits.PerPeer
	case byEgress:
		return l.limits.egress()
	case byNear:
		return l.limits.PerPeer.times(l.limits.Near)
	case byFar:
		return l.limits.PerPeer.times(l.limits.Far)
	case byBursts:
		return l.limits.opening()
	}
	return l.limits.Total
}

// subnetsOf returns ip's /24 and /16, or /56 and /48 if it is IPv6.
func subnetsOf(ip netip.Addr) (near, far netip.Prefix) {
	nearBits, farBits := 56, 48
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		nearBits, farBits = 24, 16
	}
	near, _ = ip.Prefix(nearBits)
	far, _ = ip.Prefix(farBits)
	return near, far
}

// refusal names the bucket that cannot pay cost within maxDebt seconds' worth of
// debt, byNobody if all can.
func (b *bill) refusal(cost, maxDebt float64) payer {
	for p, bk := range b.buckets {
		if bk == nil || payer(p) == byBursts { // a burst that others use is waited for, not refused
			continue
		}
		debt, price := maxDebt*b.rates[p].PerSecond, cost
		switch payer(p) {
		case inTotal:
			debt *= (1 + b.entitled()) / 2
		case byEgress:
			price = 0 // until there is an answer
		}
		if !bk.affords(price, b.rates[p], debt) {
			return payer(p)
		}
	}
	return byNobody
}

// insist makes a peer that was refused for the sake of all the others pay from its
// own bucket, as long as there is something in it: so who keeps asking while the
// process is overloaded becomes less entitled than who does not.
func (b *bill) insist(cost float64) {
	if own := b.buckets[byPeer]; own != nil && own.level > 0 {
		own.level = max(0, own.level-cost)
	}
}

// pay takes units from every bucket, but from that for answers bytes, and returns
// how long the peer is to pause, and because of which. Of the total's debt it
// bears the more the emptier its own bucket is.
func (b *bill) pay(units, bytes float64) (pause time.Duration, because payer) {
	because = byNobody
	for p, bk := range b.buckets {
		if bk == nil {
			continue
		}
		switch payer(p) {
		case byEgress:
			bk.level -= bytes
		case byBursts:
			b.open(units)
		default:
			bk.level -= units
		}
		d := bk.pause(b.rates[p])
		if payer(p) == inTotal {
			d = time.Duration(float64(d) * (1 - b.entitled()))
		}
		if d > pause {
			pause, because = d, payer(p)
		}
	}
	return pause, because
}

// open takes units from the peer's opening, and what that lacks from what all peers'
// bursts share. What neither has is the opening's debt.
func (b *bill) open(units float64) {
	own := b.buckets[byBursts]
	own.level -= units
	if part := min(-own.level, b.shared.level); part > 0 {
		own.level += part
		b.shared.level -= part
	}
}

// entitled returns how full the peer's own bucket is, 0 to 1; 0 if peers are not
// limited, so that all bear the same.
func (b *bill) entitled() float64 {
	if b.buckets[byPeer] == nil {
		return 0
	}
	return min(1, max(0, b.buckets[byPeer].level/b.rates[byPeer].Burst))
}
