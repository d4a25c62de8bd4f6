package profile

import (
	"net/netip"
	"strings"
)

// The blocks of IANA's special-purpose registries (RFC 6890 and its updates)
// that are no public unicast addresses, and addresses at which clouds tell
// their machines secrets.
var (
	special4 = prefixes(
		"0.0.0.0/8",        // this network; dialed, it is this machine
		"10.0.0.0/8",       // private
		"100.64.0.0/10",    // carrier-grade NAT, and a cloud's metadata
		"127.0.0.0/8",      // loopback
		"168.63.129.16/32", // a cloud's metadata
		"169.254.0.0/16",   // link-local, and most clouds' metadata
		"172.16.0.0/12",    // private
		"192.0.0.0/24",     // protocol assignments, and a cloud's metadata
		"192.0.2.0/24",     // documentation
		"192.88.99.0/24",   // 6to4 relays, given up
		"192.168.0.0/16",   // private
		"198.18.0.0/15",    // benchmarks
		"198.51.100.0/24",  // documentation
		"203.0.113.0/24",   // documentation
		"224.0.0.0/4",      // multicast
		"240.0.0.0/4",      // reserved, and broadcast
	)
	// All else outside 2000::/3 is special in IPv6: unspecified, loopback,
	// IPv4-mapped, NAT64, unique local, link-local, multicast.
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes(
		"2001::/23",     // protocol assignments: Teredo (leads to any IPv4), ORCHID, benchmarks
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4: leads to any IPv4
		"3fff::/20",     // documentation
	)
	local    = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10")
	metadata = prefixes("169.254.169.254/32", "169.254.170.2/32", "100.100.100.200/32", "fd00:ec2::254/128")
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		all[i] = netip.MustParsePrefix(t)
	}
	return all
}

func within(ip netip.Addr, blocks []netip.Prefix) bool {
	for _, b := range blocks {
		if b.Contains(ip) {
			return true
		}
	}
	return false
}

// PublicIP reports whether ip is a unicast address of the public Internet.
func PublicIP(ip netip.Addr) bool { return publicIP(ip.Unmap()) }

func publicIP(ip netip.Addr) bool {
	if ip.Is4() {
		return !within(ip, special4)
	}
	return global6.Contains(ip) && !within(ip, special6)
}

func localIP(ip netip.Addr) bool { return within(ip, local) && !within(ip, metadata) }

// publicName reports whether a name could be one of the public DNS: it has two
// labels at least, does not end as an address does (resolvers read 0x7f.1 and
// 2130706433 as addresses, too), nor in a name that is special or local (RFC
// 6761, 6762, 7686, 8375, 9476 and what routers and clouds use).
func publicName(name []byte) bool {
	n := strings.ToLower(strings.TrimSuffix(string(name), "."))
	dot := strings.LastIndexByte(n, '.')
	if len(n) > 253 || dot <= 0 || dot == len(n)-1 {
		return false
	}
	for i := range len(n) {
		if c := n[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	last := n[dot+1:]
	switch last {
	case "localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "private", "onion", "i2p", "alt", "test", "invalid", "example", "arpa":
		return false
	}
	return last[0] < '0' || last[0] > '9'
}
