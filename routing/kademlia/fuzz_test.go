package kademlia

import (
	"bytes"
	"testing"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// FuzzContact: whatever list of addresses a peer is told with, its contact has at
// most MaxAddrs of them; the multiaddr library reads each, and none names a peer
// at its end. The input is cut into addresses by their first byte, a length.
func FuzzContact(f *testing.F) {
	id := append([]byte{0x12, 0x20}, make([]byte, 32)...)
	tcp := multiaddr.StringCast("/ip4/127.0.0.1/tcp/4001").Bytes()
	named := append(bytes.Clone(tcp), append([]byte{0xa5, 0x03, byte(len(id))}, id...)...)
	var list []byte
	for _, a := range [][]byte{tcp, named, multiaddr.StringCast("/dns4/example.com/udp/1/quic-v1").Bytes(), {}, {0xff}, {4, 127}} {
		list = append(append(list, byte(len(a))), a...)
	}
	f.Add(id, list)
	f.Add(id, bytes.Repeat(list, 20))
	f.Add([]byte{}, []byte{255, 1})
	f.Fuzz(func(t *testing.T, id, list []byte) {
		var addrs [][]byte
		for len(list) > 0 {
			n := min(int(list[0]), len(list)-1)
			addrs = append(addrs, list[1:1+n])
			list = list[1+n:]
		}
		c := NewContact(peer.ID(id), addrs)
		if len(c.Peer.Addrs) > protocol.MaxAddrs || !bytes.Equal(c.Peer.ID, id) {
			t.Fatalf("%d addresses of %x", len(c.Peer.Addrs), c.Peer.ID)
		}
		for _, b := range c.Peer.Addrs {
			a, err := multiaddr.NewMultiaddrBytes(b)
			if err != nil {
				t.Fatalf("kept %x: %v", b, err)
			}
			if _, last := multiaddr.SplitLast(a); last != nil && last.Protocol().Code == multiaddr.P_P2P && len(a.Protocols()) > 1 {
				t.Fatalf("kept %s", a)
			}
		}
	})
}
