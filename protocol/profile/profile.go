// Package profile says which addresses belong to a network. What other peers
// say of addresses is theirs to choose: an address of a network that is not
// ours makes us knock at doors for somebody else (reliability.md T4, T5).
//
// A Profile is applied three times: to what is taken from others, to what others
// are told, and, where the host is made with it (host/build), to what is dialed
// after names have been resolved.
//
//	kept := profile.Public.Cut(addrs)
//
// Addresses are binary multiaddrs, as they come in messages; nothing here
// builds them or allocates unless something is cut. The invariant: an address
// that Public admits leads, as far as can be known without asking the DNS, to
// a unicast address of the public Internet and nowhere else.
package profile

import (
	"fmt"
	"net/netip"

	"github.com/kdht/kdht/protocol"
	"github.com/multiformats/go-multiaddr"
)

// Profile is a kind of network. The zero value admits every address.
type Profile uint8

const (
	// Private admits any address: a network of one's own, wherever it is.
	Private Profile = iota
	// Public admits addresses of the public Internet, at most MaxNames names a
	// peer, and no /dnsaddr, which may lead to any number of others.
	Public
	// LAN admits addresses of local networks: private, link-local and carrier-grade
	// ones, and no names. Those of this machine alone, loopback, are not among
	// them.
	LAN
)

// MaxNames is how many names of the DNS Public takes of one peer: each is a
// question to somebody's server (reliability.md T5).
const MaxNames = 2

var names = [...]string{Private: "private", Public: "public", LAN: "lan"}

// String returns the profile's name as it is written in flags.
func (p Profile) String() string {
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("profile %d", uint8(p))
}

// Parse returns the profile of a name.
func Parse(name string) (Profile, error) {
	for p, n := range names {
		if n == name {
			return Profile(p), nil
		}
	}
	return 0, fmt.Errorf("there is no profile %.20q: use private, public or lan", name)
}

// Valid reports whether p is one of the profiles.
func (p Profile) Valid() bool { return int(p) < len(names) }

// Admits reports whether addr is inside the network, as far as it tells itself:
// where a name leads is only known when it is dialed.
func (p Profile) Admits(addr []byte) bool {
	if p == Private {
		return true
	}
	w, ok := Where(addr)
	return ok && p.admits(&w)
}

// Dials reports whether addr, whose names have been resolved, may be dialed.
// The name of a relay may be left: its own address is asked for again.
func (p Profile) Dials(addr []byte) bool {
	if p == Private {
		return true
	}
	w, ok := Where(addr)
	return ok && (w.Name == nil || w.Relayed) && p.admits(&w)
}

func (p Profile) admits(w *Place) bool {
	switch {
	case w.Port == 0:
		return false
	case w.Name != nil:
		return p == Public && publicName(w.Name)
	case p == Public:
		return publicIP(w.IP)
	}
	return p == LAN && localIP(w.IP)
}

// Cut returns those of one peer's addresses that are inside the network, in
// order: addrs itself if all are. It never changes its argument.
func (p Profile) Cut(addrs [][]byte) [][]byte {
	if p == Private {
		return addrs
	}
	var known [MaxNames][]byte
	kept, whole := addrs, true
	for i, a := range addrs {
		if w, ok := Where(a); ok && p.admits(&w) && (w.Name == nil || note(&known, w.Name)) {
			if !whole {
				kept = append(kept, a)
			}
			continue
		}
		if whole {
			kept, whole = append(make([][]byte, 0, len(addrs)-1), addrs[:i]...), false
		}
	}
	return kept
}

// note reports whether name is among known, or there is room for it.
func note(known *[MaxNames][]byte, name []byte) bool {
	for i, k := range known {
		if k == nil {
			known[i] = name
		}
		if k == nil || string(k) == string(name) {
			return true
		}
	}
	return false
}

// Place is where a dial to an address goes first: to the peer itself or, if
// Relayed is set, to a relay that is to lead to it.
type Place struct {
	// IP is set unless Name is: the name to be looked up.
	IP   netip.Addr
	Name []byte
	UDP  bool
	Port uint16
	// Relayed says that the peer is behind the one at this place.
	Relayed bool
}

// Where returns where a dial to addr goes. It reports false if addr is no
// multiaddr, or none that says so in one way: it begins with one address or
// name, a TCP or UDP port follows, and no other address does. A place on a
// relay names the relay.
func Where(addr []byte) (w Place, ok bool) {
	code, value, rest, ok := protocol.NextComponent(addr)
	if !ok {
		return w, false
	}
	switch code {
	case multiaddr.P_IP4, multiaddr.P_IP6:
		w.IP, _ = netip.AddrFromSlice(value)
	case multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6:
		w.Name = value
	default: // of all others, /dnsaddr would lead to any number of places
		return w, false
	}
	code, value, rest, ok = protocol.NextComponent(rest)
	if !ok || code != multiaddr.P_TCP && code != multiaddr.P_UDP {
		return w, false
	}
	w.UDP, w.Port = code == multiaddr.P_UDP, uint16(value[0])<<8|uint16(value[1])
	return w, w.follow(rest)
}

// follow reads what comes after the port.
func (w *Place) follow(rest []byte) bool {
	named := false // a peer's id has just been read
	for len(rest) > 0 {
		code, _, next, ok := protocol.NextComponent(rest)
		if !ok {
			return false
		}
		switch code {
		case multiaddr.P_IP4, multiaddr.P_IP6, multiaddr.P_IP6ZONE, multiaddr.P_IPCIDR, multiaddr.P_TCP, multiaddr.P_UDP,
			multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6, multiaddr.P_DNSADDR,
			multiaddr.P_UNIX, multiaddr.P_MEMORY, multiaddr.P_ONION, multiaddr.P_ONION3, multiaddr.P_GARLIC32, multiaddr.P_GARLIC64:
			return false
		case multiaddr.P_CIRCUIT:
			if w.Relayed || !named {
				return false
			}
			w.Relayed = true
		}
		named = code == multiaddr.P_P2P
		rest = next
	}
	return true
}

// Locate returns the IP address and port that a dial to addr itself leads to;
// false if only the DNS or a relay knows.
func Locate(addr []byte) (netip.AddrPort, bool) {
	w, ok := Where(addr)
	if !ok || w.Relayed || w.Name != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(w.IP, w.Port), true
}
