// Package input reads what people give on the command line: peers, addresses,
// keys, content, values. Whatever is wrong with it is said in one line, with an
// example of what is right, as an error of the kind control.Usage.
package input

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// maxArg bounds an argument other than a value, in bytes.
const maxArg = 4 << 10

// maxShown is how many bytes of a wrong argument an error shows.
const maxShown = 80

func show(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "…"
	}
	return s
}

func usage(format string, args ...any) error { return control.Errorf(control.Usage, format, args...) }

// Bootstrap reads the multiaddrs of peers to join through; several addresses of
// one peer become one.
func Bootstrap(texts []string) ([]peer.AddrInfo, error) {
	var addrs []multiaddr.Multiaddr
	for _, text := range texts {
		a, err := fullAddr(text)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, a)
	}
	peers, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return nil, usage("--bootstrap: %v", err)
	}
	return peers, nil
}

// Inside refuses peers to join through that only have addresses which are outside
// the network. Where a name leads is seen when it is dialed.
func Inside(p profile.Profile, peers []peer.AddrInfo) error {
	for _, info := range peers {
		outside := func(a multiaddr.Multiaddr) bool {
			at, ok := profile.Where(a.Bytes())
			return ok && at.Name == nil && !p.Admits(a.Bytes())
		}
		if !slices.ContainsFunc(info.Addrs, func(a multiaddr.Multiaddr) bool { return !outside(a) }) {
			return usage("--bootstrap: %s is outside a %s network: give another address, or the --profile that the network has", show(info.Addrs[0].String()), p)
		}
	}
	return nil
}

const sampleAddr = "/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…"

// fullAddr reads a multiaddr that ends in a peer's id and says how to reach it.
func fullAddr(text string) (multiaddr.Multiaddr, error) {
	if len(text) > maxArg {
		return nil, usage("%s is too long for a multiaddr", show(text))
	}
	a, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return nil, usage("%q is no multiaddr (%v); write it like %s, as `kdht run` prints it", show(text), cause(err), sampleAddr)
	}
	info, err := peer.AddrInfoFromP2pAddr(a)
	if err != nil || len(info.Addrs) == 0 {
		return nil, usage("%q must have an address and end in /p2p/ and the peer's id; write it like %s, as `kdht run` prints it", show(text), sampleAddr)
	}
	return a, nil
}

// cause shortens the multiaddr library's errors, which repeat the address.
func cause(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "\": "); i >= 0 {
		text = text[i+3:]
	}
	if strings.HasPrefix(text, "invalid value") {
		_, text, _ = strings.Cut(text, "for protocol ") // the value was shown already
	}
	return show(text)
}

// Listen checks the multiaddrs to listen on.
func Listen(texts []string) error {
	for _, text := range texts {
		a, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return usage("--listen: %q is no multiaddr (%v); write it like /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1", show(text), cause(err))
		}
		if _, err := a.ValueForProtocol(multiaddr.P_P2P); err == nil {
			return usage("--listen: %q names a peer: leave out /p2p/…", show(text))
		}
	}
	return nil
}

// Peer reads a peer's id, or a multiaddr that ends in one.
func Peer(text string) (peer.AddrInfo, error) {
	if strings.HasPrefix(text, "/") {
		if a, err := fullAddr(text); err != nil {
			return peer.AddrInfo{}, err
		} else if info, err := peer.AddrInfoFromP2pAddr(a); err == nil {
			return *info, nil
		}
	}
	if len(text) <= maxArg {
		if id, err := peer.Decode(text); err == nil {
			return peer.AddrInfo{ID: id}, nil
		}
	}
	return peer.AddrInfo{}, usage("%q is no peer id; write it like 12D3Koo…, as `kdht id` prints it", show(text))
}

// pkPrefix is where peers' public keys are stored, under the bytes of the id, and
// ipnsPrefix the records that they sign.
const pkPrefix, ipnsPrefix = "/pk/", "/ipns/"

// Key reads the key of a value. The id in a /pk/ or /ipns/ key may be given as text.
func Key(text string) ([]byte, error) {
	if !strings.HasPrefix(text, "/") || strings.Count(text, "/") < 2 {
		return nil, usage("%q is no key; write it like /imm/<sha-256 of the value>, as `kdht put` prints it", show(text))
	}
	for _, prefix := range []string{pkPrefix, ipnsPrefix} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			if id, err := peer.Decode(rest); err == nil {
				text = prefix + string(id)
			}
		}
	}
	if len(text) > protocol.MaxValueKey {
		return nil, usage("the key has %d bytes, at most %d are stored: use a shorter one", len(text), protocol.MaxValueKey)
	}
	return []byte(text), nil
}

// ShowKey writes a key as Key reads it.
func ShowKey(key []byte) string {
	for _, prefix := range []string{pkPrefix, ipnsPrefix} {
		if id, ok := strings.CutPrefix(string(key), prefix); ok {
			if id, err := peer.IDFromBytes([]byte(id)); err == nil {
				return prefix + id.String()
			}
		}
	}
	if utf8.Valid(key) {
		return string(key)
	}
	return strings.ToValidUTF8(string(key), "\uFFFD")
}

// Target reads what `closest` measures from: a peer's id, a CID, or any key.
func Target(text string) ([]byte, error) {
	if text == "" || len(text) > maxArg {
		return nil, usage("a key has 1 to %d bytes, this one %d", maxArg, len(text))
	}
	if id, err := peer.Decode(text); err == nil {
		return []byte(id), nil
	}
	if c, err := CID(text); err == nil {
		return c.Hash(), nil
	}
	if strings.HasPrefix(text, pkPrefix) || strings.HasPrefix(text, ipnsPrefix) {
		return Key(text)
	}
	return []byte(text), nil
}
