package kademlia

import (
	"math/bits"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// RegionMode says when a record goes to all peers of the region around its key, which
// is as far from it as k honest ones are to be expected, and is read from them.
type RegionMode uint8

// The modes.
const (
	// RegionWhenDense: when the k nearest lie closer together than chance would have
	// it. It costs nothing otherwise.
	RegionWhenDense RegionMode = iota
	// RegionAlways: whatever is stored; what is read, as RegionWhenDense. Whoever
	// places fewer than k identities next to a key, below what can be noticed, then
	// takes no copy from honest peers. A store costs some five times the requests.
	RegionAlways
	// RegionNever: the k nearest always decide.
	RegionNever
)

const (
	// maxShells is how many lookups go through a region, each through the half that is
	// farther from the key of what the one before has left over: fifteen sixteenths.
	// They are more if the network is larger than we thought.
	maxShells = 4
	// maxRegion bounds the peers of a region beyond the k nearest that are asked, or
	// given a record.
	maxRegion = 200
)

// regionWalk is the part of a query that begins where identities made for the purpose are
// the k nearest to a key (reliability.md T2). Answers then name nobody else, since all
// who answer name the nearest they know. But each honest peer of the region is among
// the nearest to keys in its own part of it, so that lookups of such keys find them all.
//
// Invariant: pending says how many of walks have not ended.
type regionWalk struct {
	most      float64 // how many peers we believe there are, at the most
	far       uint64  // how far the k-th nearest is, the first 64 bits
	radius    uint64  // how far the region reaches
	outermost int     // how many bits the keys of its outermost shell share with the query's
	innermost int     // the same of the last shell that is gone through
	surveyed  bool    // it is known how large the network is
	walks     []QueryID
	pending   int
	suspected bool       // the k nearest are there for a purpose
	found     []*Contact // have answered one of walks; from sift on, who is to be dealt with
}

// judge decides, when the walk has come to its end for the first time, whether the k
// nearest are there by chance, and what follows from it.
func (q *query) judge(now time.Time) {
	n := q.node
	q.judged = true
	far, whole := q.lookup.farthest(answered)
	if q.goal.regional() && n.cfg.Region != RegionNever {
		least := n.leastSize(now)
		suspected := whole && dense(least, n.cfg.K, far)
		if suspected || q.always() {
			reach := radius(n.cfg.K, least)
			q.region = &regionWalk{
				most: maxGrowth * max(least, n.sizeAround()), far: far, suspected: suspected,
				radius: reach, outermost: shellOf(reach), innermost: shellOf(reach) + maxShells - 1,
			}
			q.explore(now, q.region.outermost, q.region.outermost)
			return
		}
	}
	if whole {
		n.size.note(now, &q.target, peersWithin(n.cfg.K, far))
	}
}

// always reports whether the region is called for in any case.
func (q *query) always() bool { return q.storing() && q.node.cfg.Region == RegionAlways }

func (q *query) storing() bool {
	_, ok := q.goal.(*store)
	return ok
}

// wary reports whether what the k nearest say is not to be taken for all there is,
// because they are too near, or would be if those heard of are there.
func (q *query) wary(now time.Time) bool {
	switch {
	case !q.goal.regional() || q.node.cfg.Region == RegionNever:
		return false
	case q.region != nil:
		return q.region.pending > 0 || len(q.region.found) > 0 || q.lookup.slots > 0
	case q.judged:
		return false
	}
	far, whole := q.lookup.farthest(heard)
	return whole && dense(q.node.leastSize(now), q.node.cfg.K, far)
}

// farthest returns the distance of the k-th nearest candidate that may yet count, or
// that has answered, and whether there are so many.
func (l *Lookup) farthest(least progress) (far uint64, whole bool) {
	live := 0
	for i := range l.candidates {
		if c := &l.candidates[i]; c.there() || least == heard && !c.out() {
			if live++; live == l.k {
				return l.distances[i], live > 1
			}
		}
	}
	return 0, false
}

// surround goes through the region of the key where that is called for, and reports
// whether anything of it is waited for.
func (q *query) surround(now time.Time) bool {
	if !q.judged && !q.passing {
		q.judge(now)
	}
	switch {
	case q.finished:
		return true
	case q.region == nil:
		return false
	case q.region.pending > 0:
		return true
	case q.storing(): // the region is given its copies with the k nearest
		return false
	}
	q.inquire(now)
	return q.lookup.slots > 0
}

// radius returns within which distance k of so many peers are to be expected.
func radius(k int, peers float64) uint64 {
	if within := float64(k) / max(1, peers); within < 1 {
		return uint64(within * (1 << 64))
	}
	return 1<<64 - 1
}

// shellOf returns how many bits a key just inside a radius shares with the one in the
// middle.
func shellOf(radius uint64) int { return min(bits.LeadingZeros64(radius), maxKeyPrefix+1-maxShells) }

// explore starts a lookup in each shell from one to another.
func (q *query) explore(now time.Time, from, to int) {
	n, g := q.node, q.region
	keys := randomKeys(n.cfg.Rand, &q.target, 1<<(to+1)-1<<from)
	g.pending = len(keys)
	for _, key := range keys {
		walk := n.query(now, protocol.FindNode, key, findNode{}, func(now time.Time, r Result) { q.passed(now, key, &r) })
		if walk == nil {
			continue // too many are under way: q.passed was told
		}
		walk.passing = true
		g.walks = append(g.walks, walk.id)
		walk.start(now)
	}
}

// passed takes in whom a lookup of the region has found. The first of them says how
// large the network is, and so whether there is anything to explore, and how far.
func (q *query) passed(now time.Time, key []byte, r *Result) {
	if q.finished {
		return
	}
	g := q.region
	q.report.add(&r.Report)
	g.found = append(g.found, r.Closest...)
	if !g.surveyed && r.Err == nil {
		q.reckon(now, key, r)
	}
	if g.pending--; g.pending > 0 {
		return
	}
	switch {
	case !g.suspected && !q.always():
		q.region = nil
	case !g.surveyed:
		g.surveyed, q.report.Dense = true, g.suspected
		q.explore(now, g.outermost+1, g.innermost)
	default:
		q.sift()
	}
	q.step(now)
}

// maxGrowth is how much larger than we thought a region may let the network appear:
// it grows while we do not look. More is taken for a crowd in the region. What we thought
// is the least that three in four samples say, or what our own neighbourhood does if that
// is more: of a network that has just come up the samples are out of date, and who would
// fool us by it has to crowd both the region and whoever may store there.
const maxGrowth = 4

// reckon counts the outermost shell, which is the farthest from the key and so the last
// that anybody has a reason to crowd: if it lies as dense as the k nearest do, it was
// our notion of the network that was out of date.
func (q *query) reckon(now time.Time, key []byte, r *Result) {
	n, g := q.node, q.region
	target := keyspace.KeyOf(key)
	inside := 0
	for _, c := range r.Closest {
		if keyspace.CommonPrefixLen(&target, &c.Key) > g.outermost {
			inside++
		}
	}
	peers := float64(inside) * float64(uint64(2)<<g.outermost)
	if inside == n.cfg.K {
		peers = peersWithin(inside, prefixOf(&target)^prefixOf(&r.Closest[inside-1].Key))
	}
	believed := min(peers, g.most)
	if g.suspected && !dense(believed, n.cfg.K, g.far) {
		g.suspected = false
		n.size = netSize{}
	}
	g.innermost = max(g.innermost, shellOf(radius(n.cfg.K, believed))+maxShells-1)
	n.size.note(now, &target, peers)
}

// sift leaves each of those found in the region once, and without those that the walk
// itself has asked and deals with as one of the k nearest. If they are too many, chance
// decides: those who would crowd it know what else we might prefer.
func (q *query) sift() {
	g, l := q.region, q.lookup
	known := make(map[keyspace.Key]bool)
	found := g.found
	for i := range l.candidates {
		c := &l.candidates[i]
		if c.state == answered {
			found = append(found, c.contact)
		}
		known[c.contact.Key] = c.state == asking || c.state == slow
	}
	for _, c := range l.appendAnswered(nil, l.k) {
		known[c.Key] = true
	}
	g.found = nil
	for _, c := range found {
		if !known[c.Key] && prefixOf(&c.Key)^prefixOf(&q.target) <= g.radius {
			known[c.Key] = true
			g.found = append(g.found, c)
		}
	}
	if len(g.found) > maxRegion {
		q.node.cfg.Rand.Shuffle(len(g.found), func(i, j int) { g.found[i], g.found[j] = g.found[j], g.found[i] })
		g.found = g.found[:maxRegion]
	}
	q.report.Region = len(g.found)
}

// inquire asks those found in the region what the k nearest have been asked.
func (q *query) inquire(now time.Time) {
	g, l := q.region, q.lookup
	for len(g.found) > 0 && l.slots < l.final && l.asked < maxAsked {
		c := g.found[0]
		g.found = g.found[1:]
		if i, ok := l.enlist(c); ok {
			l.ask(i)
			q.send(now, c)
		}
	}
	if l.asked >= maxAsked {
		g.found = nil
	}
}

// enlist makes c, who has answered another lookup, a candidate, and reports whether it
// is yet to be asked.
func (l *Lookup) enlist(c *Contact) (int, bool) {
	l.by = 0
	l.add(c, 1)
	i, known := l.find(&c.Key)
	return i, known && (l.candidates[i].state == heard || l.candidates[i].state == barred)
}

// abandon ends the lookups of a region whose query has ended.
func (g *regionWalk) abandon(now time.Time, n *Node) {
	for _, id := range g.walks {
		n.Cancel(now, id)
	}
}
