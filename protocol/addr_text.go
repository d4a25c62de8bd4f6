package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// The longest address in bytes and in characters that is written as text.
const (
	maxTextAddr = maxAddr / 2
	maxAddrText = maxAddr
)

// appendAddrText appends the text of a binary multiaddr, and reports whether it
// has one that reads back as the same bytes.
//
// IP addresses, ports, peer ids and bare protocol names, which is nearly all of
// them, are written here; the multiaddr library takes ten times as long.
func appendAddrText(b, addr []byte) (text []byte, ok bool) {
	if len(addr) == 0 || len(addr) > maxTextAddr {
		return b, false
	}
	text = b
	rare := false
	for i := 0; i < len(addr); {
		c, n, ok := readComponent(addr[i:])
		if !ok {
			return b, false
		}
		i += n
		text = append(append(text, '/'), c.name...)
		switch {
		case len(c.value) == 0:
		case c.code == multiaddr.P_IP4:
			text = netip.AddrFrom4([4]byte(c.value)).AppendTo(append(text, '/'))
		case c.code == multiaddr.P_IP6:
			text = netip.AddrFrom16([16]byte(c.value)).AppendTo(append(text, '/'))
		case c.code == multiaddr.P_TCP, c.code == multiaddr.P_UDP:
			text = strconv.AppendUint(append(text, '/'), uint64(binary.BigEndian.Uint16(c.value)), 10)
		case c.code == multiaddr.P_P2P:
			id := multihashText(c.value)
			if id == "" {
				return b, false
			}
			text = append(append(text, '/'), id...)
		default:
			rare = true
		}
	}
	if rare {
		return appendLibraryText(b, addr)
	}
	return text, true
}

// appendLibraryText is appendAddrText by way of the multiaddr library. Whether
// names, paths and the like read back is tried.
func appendLibraryText(b, v []byte) (text []byte, ok bool) {
	addr, err := multiaddr.NewMultiaddrBytes(v)
	if err != nil {
		return b, false
	}
	s := addr.String()
	if len(s) > maxAddrText || !utf8.ValidString(s) {
		return b, false
	}
	back, err := multiaddr.NewMultiaddr(s)
	if err != nil || !bytes.Equal(back.Bytes(), v) {
		return b, false
	}
	return append(b, s...), true
}

// parseAddrText appends to b the binary form of a multiaddr, read as
// multiaddr.NewMultiaddr reads it; but a peer id, as a part, must not be longer
// than maxMultihashText.
func parseAddrText(b []byte, text string) ([]byte, error) {
	if len(text) > maxAddrText {
		return b, fmt.Errorf("an address of %d characters, at most %d", len(text), maxAddrText)
	}
	if v, ok := parsePlainAddr(b, text); ok {
		return v, nil
	}
	for rest := text; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		id, _, _ := strings.Cut(rest, "/")
		if multiaddr.ProtocolWithName(name).Code == multiaddr.P_P2P && len(id) > maxMultihashText {
			return b, fmt.Errorf("a peer id of %d characters, at most %d", len(id), maxMultihashText)
		}
	}
	addr, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return b, err
	}
	return append(b, addr.Bytes()...), nil
}

// parsePlainAddr reads what appendAddrText writes itself, and reports false
// for anything else.
func parsePlainAddr(b []byte, text string) ([]byte, bool) {
	if text == "" || text[0] != '/' {
		return b, false
	}
	v := b
	for rest, more := text[1:], true; more; {
		var name, value string
		name, rest, more = strings.Cut(rest, "/")
		p := multiaddr.ProtocolWithName(name)
		if p.Code == 0 {
			return b, false
		}
		v = append(v, p.VCode...)
		if p.Size == 0 {
			continue
		}
		value, rest, more = strings.Cut(rest, "/")
		var ok bool
		if v, ok = parsePlainValue(v, p.Code, value); !ok {
			return b, false
		}
	}
	return v, true
}

func parsePlainValue(b []byte, code int, text string) ([]byte, bool) {
	switch code {
	case multiaddr.P_IP4, multiaddr.P_IP6:
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Is4() != (code == multiaddr.P_IP4) || ip.Zone() != "" {
			return b, false
		}
		return append(b, ip.AsSlice()...), true
	case multiaddr.P_TCP, multiaddr.P_UDP:
		port, err := strconv.ParseUint(text, 10, 16)
		return binary.BigEndian.AppendUint16(b, uint16(port)), err == nil
	case multiaddr.P_P2P:
		if len(text) > maxMultihashText {
			return b, false
		}
		id, err := peer.Decode(text)
		if err != nil || !isPeerID(id) {
			return b, false
		}
		return append(append(b, byte(len(id))), id...), true
	}
	return b, false
}
