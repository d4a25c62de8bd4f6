package sim

import "net/netip"

// reserved are the first bytes of IPv4 addresses that public peers do not have,
// or that hold a block which they do not have.
var reserved = [...]byte{0, 10, 100, 127, 169, 172, 192, 198, 203}

// hosters is how many /16s of hosting companies there are, hosted the share of
// members that live in one of them: crawls of the public network find between a
// third and half of its servers with a few such companies.
const (
	hosters = 48
	hosted  = 0.4
)

// addressOf returns where member i of a run with this seed lives: an address that
// looks public, in one of a few crowded /16s or anywhere.
func addressOf(seed uint64, i int32) []byte {
	x := mix(mix(seed+5) ^ uint64(i))
	net := x >> 16
	if unit(mix(x)) < hosted {
		net = mix(mix(seed+6) + x%hosters)
	}
	return multiaddr(subnet(net), uint16(x), uint16(1024+i%60000))
}

// subnet makes the two first bytes of a public address of a random number.
func subnet(x uint64) uint16 {
	for {
		first, bad := byte(x), byte(x) >= 224
		for _, r := range reserved {
			bad = bad || first == r
		}
		if !bad {
			return uint16(first)<<8 | uint16(byte(x>>8))
		}
		x = mix(x)
	}
}

// multiaddr returns the binary form of /ip4/…/udp/…/quic-v1.
func multiaddr(net, host, port uint16) []byte {
	return []byte{0x04, byte(net >> 8), byte(net), byte(host >> 8), byte(host), 0x91, 0x02, byte(port >> 8), byte(port), 0xcd, 0x03}
}

// ipOf returns the IPv4 address that one of our multiaddrs begins with.
func ipOf(addr []byte) netip.Addr { return netip.AddrFrom4([4]byte(addr[1:5])) }
