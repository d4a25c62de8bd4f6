package protocol

import (
	"bytes"

	"github.com/multiformats/go-multiaddr"
)

// maxAddr is the longest address in bytes that is looked into. A relayed
// WebTransport address takes about 250.
const maxAddr = 1 << 10

// SplitP2P strips a trailing /p2p/<id> from a binary multiaddr, the form rust
// sends (wire.md §3); an address without one is returned as it is. It reports
// false if addr is no multiaddr or longer than 1 KiB, if it ends in another
// peer's id, or if nothing is left. The result shares addr's bytes.
//
// It accepts what multiaddr.NewMultiaddrBytes accepts, without building it.
func SplitP2P(addr, id []byte) (trimmed []byte, ok bool) {
	if len(addr) == 0 || len(addr) > maxAddr {
		return nil, false
	}
	end := 0         // of the last component that is not /p2p/<id>
	foreign := false // that component is another peer's id
	path := false    // the component before takes all the rest
	for i := 0; i < len(addr); {
		if path {
			return nil, false
		}
		c, n, ok := readComponent(addr[i:])
		if !ok {
			return nil, false
		}
		i += n
		path = c.path
		if c.code == multiaddr.P_P2P && bytes.Equal(c.value, id) {
			continue
		}
		end, foreign = i, c.code == multiaddr.P_P2P
	}
	return addr[:end:end], end > 0 && !foreign
}

// NextComponent reads the component that a binary multiaddr begins with: its
// protocol's code, its value, and what comes after it. It reports false where
// there is none that is valid.
func NextComponent(addr []byte) (code int, value, rest []byte, ok bool) {
	c, n, ok := readComponent(addr)
	if !ok {
		return 0, nil, nil, false
	}
	return c.code, c.value, addr[n:], true
}

// component is one protocol of a multiaddr with its value.
type component struct {
	code  int
	name  string
	value []byte
	path  bool
}

// readComponent reads the component that b begins with and returns its length.
func readComponent(b []byte) (c component, n int, ok bool) {
	code, n, err := multiaddr.ReadVarintCode(b)
	if err != nil {
		return c, 0, false
	}
	p := multiaddr.ProtocolWithCode(code)
	if p.Code == 0 {
		return c, 0, false
	}
	c.code, c.name, c.path = code, p.Name, p.Path
	if p.Size == 0 {
		return c, n, true
	}
	size := p.Size / 8
	if p.Size < 0 {
		var k int
		if size, k, err = multiaddr.ReadVarintCode(b[n:]); err != nil {
			return c, 0, false
		}
		n += k
	}
	if size == 0 || size > len(b)-n {
		return c, 0, false
	}
	c.value = b[n : n+size]
	return c, n + size, validValue(p, c.value)
}

// validValue asks p's transcoder whether value is one of p, except where any
// value of the right length is. Making text of a hostile peer id would take
// quadratic time; that it is a multihash suffices.
func validValue(p multiaddr.Protocol, value []byte) bool {
	switch p.Code {
	case multiaddr.P_IP4, multiaddr.P_IP6, multiaddr.P_TCP, multiaddr.P_UDP:
		return true
	}
	if p.Transcoder == nil {
		return true
	}
	if p.Transcoder.ValidateBytes(value) != nil {
		return false
	}
	if p.Code == multiaddr.P_P2P {
		return true
	}
	_, err := p.Transcoder.BytesToString(value)
	return err == nil
}
