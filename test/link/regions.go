package link

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"
)

// roundTrips are those between regions that lie so many steps from each other around
// the globe, in milliseconds: within a region, and across an ocean or two. Of places
// thrown at random into the eight regions, two are 80 ms from each other on average.
var roundTrips = [...]float64{8, 50, 90, 113, 133}

const regions = 8

// Regions returns the delays between places that lie in eight regions around the
// globe: a round trip takes 4 to 145 ms. The same seed gives the same delays, which are
// the same both ways.
func Regions(seed uint64) func(from, to netip.Addr) time.Duration {
	region := func(a netip.Addr) int {
		b := a.As4()
		return rand.New(rand.NewPCG(seed, uint64(binary.BigEndian.Uint32(b[:])))).IntN(regions)
	}
	return func(from, to netip.Addr) time.Duration {
		p := pairOf(from, to)
		a, b := p[0].As4(), p[1].As4()
		steps := (region(from) - region(to) + regions) % regions
		steps = min(steps, regions-steps)
		own := rand.New(rand.NewPCG(seed, uint64(binary.BigEndian.Uint32(a[:]))<<32|uint64(binary.BigEndian.Uint32(b[:])))).Float64()
		ms := roundTrips[steps]*(0.92+0.17*own) - (1-own)*float64(4-steps)*0.9
		return time.Duration(max(ms, 4) / 2 * float64(time.Millisecond))
	}
}
