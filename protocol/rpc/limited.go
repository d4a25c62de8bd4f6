package rpc

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// lately is how long a limiter tells of those it has paused or refused.
const lately = 10 * time.Minute

// spell is how a bucket's owner has fared in a time in which it was paused or
// refused again and again, never more than lately apart.
type spell struct {
	since, last     int64 // as bucket.last; 0 and 0: never
	paused, refused uint64
	by              payer // whose debt it was the last time
}

// note adds one pause or refusal.
func (s *spell) note(now int64, by payer, refused bool) {
	if s.paused+s.refused == 0 || now-s.last > int64(lately) {
		*s = spell{since: now}
	}
	s.last, s.by = max(s.last, now), by
	if refused {
		s.refused++
	} else {
		s.paused++
	}
}

// note remembers a pause or refusal of a bill's sender: with the sender, and with
// whose bucket else was the reason.
func (b *bill) note(by payer, refused bool) {
	if own := b.buckets[byPeer]; own != nil {
		own.note(own.last, by, refused)
	}
	if by != byPeer {
		b.buckets[by].note(b.buckets[by].last, by, refused)
	}
}

// Limited is one that a limiter has paused or refused lately, or would now: a
// peer, a subnet, or, if both are zero, everybody together.
type Limited struct {
	Peer   peer.ID
	Subnet netip.Prefix
	// Reason says which budget was used up, the last time: "peer", "egress" (of
	// answers to the peer), "bursts" (of all peers together), "subnet" or "total".
	Reason string
	// Level is what its bucket holds in units, or bytes of egress; below zero it is in debt, and Wait is
	// how long until that is paid. Zero: it is served at once.
	Level float64
	Wait  time.Duration
	// Paused and Refused count its requests since Since; Last is the last one. They
	// are zero if it is in debt only because of the answers it got.
	Paused, Refused uint64
	Since, Last     time.Time
}

// reasons are the names of payers.
var reasons = [payers]string{byPeer: "peer", byEgress: "egress", byBursts: "bursts", byNear: "subnet", byFar: "subnet", inTotal: "total"}

// Limited returns at most limit of those that are limited now or were in the last
// ten minutes, most refused first, then most paused. It remembers them as long as
// the limiter has room for their buckets (LimiterConfig.MaxPeers).
func (l *Limiter) Limited(now time.Time, limit int) []Limited {
	var found []Limited
	l.mu.Lock()
	at := int64(now.Sub(l.epoch))
	if f, ok := l.limited(l.all, at, inTotal); ok {
		found = append(found, f)
	}
	for by, table := range [...]*buckets[peer.ID]{byPeer: l.peers, byEgress: l.egress, byBursts: l.openings} {
		for _, e := range table.entries[1:] {
			f, ok := l.limited(e.bucket, at, payer(by))
			if payer(by) == byPeer && (f.Reason == reasons[byEgress] || f.Reason == reasons[byBursts]) {
				ok, f.Reason = f.Wait > 0, reasons[byPeer] // the other is told of below
			}
			if ok {
				f.Peer = e.key
				found = append(found, f)
			}
		}
	}
	for _, by := range [...]payer{byNear, byFar} {
		for _, e := range l.subnets(by).entries[1:] {
			if f, ok := l.limited(e.bucket, at, by); ok {
				f.Subnet = e.key
				found = append(found, f)
			}
		}
	}
	l.mu.Unlock()
	slices.SortFunc(found, func(a, b Limited) int {
		return cmp.Or(cmp.Compare(b.Refused, a.Refused), cmp.Compare(b.Paused, a.Paused), cmp.Compare(b.Wait, a.Wait),
			cmp.Compare(a.Peer, b.Peer), a.Subnet.Compare(b.Subnet))
	})
	return found[:max(0, min(limit, len(found)))]
}

// limited describes the state of a payer's bucket; false if it limits nobody and
// has not lately.
func (l *Limiter) limited(b bucket, at int64, p payer) (out Limited, ok bool) {
	r := l.rate(p)
	if !r.limited() || l.epoch.IsZero() {
		return out, false
	}
	b.refill(at, r)
	if b.paused+b.refused == 0 || at-b.spell.last > int64(lately) {
		b.spell = spell{by: p}
	}
	out = Limited{Reason: reasons[b.by], Level: b.level, Wait: b.pause(r), Paused: b.paused, Refused: b.refused}
	if b.paused+b.refused > 0 {
		out.Since, out.Last = l.epoch.Add(time.Duration(b.since)), l.epoch.Add(time.Duration(b.spell.last))
	}
	return out, b.level < 0 || b.paused+b.refused > 0
}

// subnets returns the table of one of the two sizes of subnet.
func (l *Limiter) subnets(p payer) *buckets[netip.Prefix] {
	if p == byNear {
		return l.near
	}
	return l.far
}

// Release gives a peer a full bucket and forgets that it was limited; false if
// nothing is held against it. Its subnet and the total may still limit it.
func (l *Limiter) Release(id peer.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := release(l.peers, id, l.limits.PerPeer)
	release(l.openings, id, l.limits.opening())
	return release(l.egress, id, l.limits.egress()) || held
}

// ReleaseSubnet is Release for a subnet as Limited names it.
func (l *Limiter) ReleaseSubnet(p netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return release(l.near, p, l.rate(byNear)) || release(l.far, p, l.rate(byFar))
}

// release fills the bucket of key, if it is held and not full.
func release[K comparable](t *buckets[K], key K, r Rate) bool {
	i, ok := t.index[key]
	if !ok {
		return false
	}
	b := &t.entries[i].bucket
	held := b.level < r.Burst || b.paused+b.refused > 0
	b.level, b.spell = r.Burst, spell{}
	return held
}
