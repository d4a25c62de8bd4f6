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
// its subnet if that was the reason, and likewise the total.
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
	// Reason says whose budget was used up, the last time: "peer", "subnet" or
	// "total".
	Reason string
	// Level is what its bucket holds in units; below zero it is in debt, and Wait is
	// how long until that is paid. Zero: it is served at once.
	Level float64
	Wait  time.Duration
	// Paused and Refused count its requests since Since; Last is the last one. They
	// are zero if it is in debt only because of the answers it got.
	Paused, Refused uint64
	Since, Last     time.Time
}

// reasons are the names of payers.
var reasons = [payers]string{byPeer: "peer", byNear: "subnet", byFar: "subnet", inTotal: "total"}

// Limited returns at most limit of those that are limited now or were in the last
// ten minutes, most refused first, then most paused. It remembers them as long as
// the limiter has room for their buckets (LimiterConfig.MaxPeers).
func (l *Limiter) Limited(now time.Time, limit int) []Limited {
	var found []Limited
	l.mu.Lock()
	at := int64(now.Sub(l.epoch))
	add := func(b bucket, r Rate, by payer) *Limited {
		if !r.limited() || l.epoch.IsZero() {
			return nil
		}
		b.refill(at, r)
		recent := b.paused+b.refused > 0 && at-b.spell.last <= int64(lately)
		if !recent {
			b.spell = spell{by: by}
		}
		if !recent && b.level >= 0 {
			return nil
		}
		found = append(found, l.limited(b, r))
		return &found[len(found)-1]
	}
	add(l.all, l.limits.Total, inTotal)
	for _, e := range l.peers.entries[1:] {
		if f := add(e.bucket, l.limits.PerPeer, byPeer); f != nil {
			f.Peer = e.key
		}
	}
	for by, t := range map[payer]*buckets[netip.Prefix]{byNear: l.near, byFar: l.far} {
		for _, e := range t.entries[1:] {
			if f := add(e.bucket, l.rate(by), by); f != nil {
				f.Subnet = e.key
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

// limited describes the state of a bucket.
func (l *Limiter) limited(b bucket, r Rate) Limited {
	out := Limited{
		Reason: reasons[b.by], Level: b.level, Wait: b.pause(r), Paused: b.paused, Refused: b.refused,
	}
	if b.paused+b.refused > 0 {
		out.Since, out.Last = l.epoch.Add(time.Duration(b.since)), l.epoch.Add(time.Duration(b.spell.last))
	}
	return out
}

// Release gives a peer a full bucket and forgets that it was limited; false if
// nothing is held against it. Its subnet and the total may still limit it.
func (l *Limiter) Release(id peer.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return release(l.peers, id, l.limits.PerPeer)
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
