package sim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// regions are where peers live: a share of the members each, and the round trips
// between them in milliseconds, in the order EU, US east, US west, Singapore,
// Japan, India, South America, Oceania. Shares follow crawls of the public
// network, where Europe and North America hold some seven tenths; round trips are
// those commonly seen between data centres.
var (
	regionShares = [...]float64{0.36, 0.20, 0.16, 0.08, 0.08, 0.04, 0.05, 0.03}
	regionRTT    = [len(regionShares)][len(regionShares)]int64{
		{20, 90, 145, 165, 225, 120, 200, 260},
		{90, 20, 65, 225, 155, 195, 120, 200},
		{145, 65, 15, 175, 105, 225, 175, 140},
		{165, 225, 175, 15, 70, 60, 320, 95},
		{225, 155, 105, 70, 10, 125, 260, 105},
		{120, 195, 225, 60, 125, 20, 300, 150},
		{200, 120, 175, 320, 260, 300, 25, 310},
		{260, 200, 140, 95, 105, 150, 310, 15},
	}
)

// mix turns a number into one that looks random (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit maps a random number to [0, 1).
func unit(x uint64) float64 { return float64(x>>11) / (1 << 53) }

// regionOf draws a region.
func regionOf(u float64) uint8 {
	for i, share := range regionShares {
		if u -= share; u < 0 {
			return uint8(i)
		}
	}
	return 0
}

// rtt returns the round trip between two members without jitter, the same both
// ways and throughout the run: the regions', the last mile of either (2 to 20
// ms), and a route that is up to a third better or worse than usual.
func (r *run) rtt(a, b int32) int64 {
	if a > b {
		a, b = b, a
	}
	ma, mb := &r.members[a], &r.members[b]
	mile := 4 + 18*(unit(mix(r.cfg.Seed^uint64(a)<<1))+unit(mix(r.cfg.Seed^uint64(b)<<1)))
	base := float64(regionRTT[ma.region][mb.region])*(0.75+unit(mix(r.cfg.Seed^uint64(a)<<32^uint64(b)))*0.6) + mile
	return int64(base * r.cfg.Link.RTTScale * float64(time.Millisecond))
}

// oneWay draws how long a message takes: half a round trip, jitter, and for each
// packet lost a retransmission after at least 200 ms, doubled each time.
func (r *run) oneWay(rtt int64) int64 {
	d := rtt / 2
	if j := r.cfg.Link.Jitter; j > 0 {
		d += int64(r.rng.ExpFloat64() * j * float64(rtt))
	}
	again := max(int64(200*time.Millisecond), rtt+rtt/2)
	for loss := r.cfg.Link.Loss; loss > 0 && r.rng.Float64() < loss && d < int64(r.cfg.Link.Deadline); again *= 2 {
		d += again
		r.fired[Lost]++
	}
	return d
}

// setUp returns how long it takes until a request can leave for a peer we hold no
// connection to.
func (r *run) setUp(to int32, rtt int64) int64 {
	if unit(mix(r.cfg.Seed+uint64(to)*3)) < r.cfg.Link.TCP {
		return 3 * rtt
	}
	return rtt
}

// connected reports whether a holds a connection to b, and makes it a's most
// recently used.
func (r *run) connected(a, b int32) bool {
	conns := r.members[a].conns
	for i := len(conns) - 1; i >= 0; i-- {
		if conns[i] == b {
			copy(conns[i:], conns[i+1:])
			conns[len(conns)-1] = b
			return true
		}
	}
	return false
}

// connection tells a member whether it holds a connection to a peer, and from where:
// the peer's true address, whatever it says.
func (r *run) connection(who int32, id peer.ID) (from netip.Addr, connected bool) {
	i := r.index(id)
	if i < 0 || !slices.Contains(r.members[who].conns, i) {
		return from, false
	}
	if addrs := r.members[i].contact.Peer.Addrs; len(addrs) > 0 {
		from = ipOf(addrs[0])
	}
	return from, true
}

// connect notes a connection on both sides.
func (r *run) connect(a, b int32) {
	for _, side := range [2][2]int32{{a, b}, {b, a}} {
		m := &r.members[side[0]]
		if len(m.conns) >= r.cfg.Link.Conns {
			r.unlink(m.conns[0], side[0])
			m.conns = m.conns[:copy(m.conns, m.conns[1:])]
		}
		m.conns = append(m.conns, side[1])
	}
}

// unlink makes a forget its connection to b.
func (r *run) unlink(a, b int32) {
	m := &r.members[a]
	for i, c := range m.conns {
		if c == b {
			m.conns = append(m.conns[:i], m.conns[i+1:]...)
			return
		}
	}
}

// disconnect ends the connection between a and b, if there is one.
func (r *run) disconnect(a, b int32) {
	r.unlink(a, b)
	r.unlink(b, a)
}

// hangUp ends all connections of a; its peers learn of it at once if it says so,
// and otherwise when they next use theirs.
func (r *run) hangUp(a int32, says bool) {
	if says {
		for _, b := range r.members[a].conns {
			r.unlink(b, a)
		}
	}
	r.members[a].conns = nil
}
