package host

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"
)

// connectTTL is how long addresses given to Connect are kept if nothing comes of
// them, libp2p's own figure for the purpose.
var connectTTL = peerstore.TempAddrTTL

// Addrs returns the addresses the host announces, without /p2p.
func (e *Endpoint) Addrs() []multiaddr.Multiaddr {
	var list addrList
	for _, a := range e.host.Addrs() {
		list.add(a, e.host.ID())
	}
	return list.addrs
}

// PeerAddrs returns what is known of p's addresses, best first; see Transport.
// The first are those that connections were dialed to: they have been proved. An
// inbound connection's is none of them, for nobody listens on its port.
func (e *Endpoint) PeerAddrs(p peer.ID) []multiaddr.Multiaddr {
	list := addrList{max: e.cfg.MaxAddrs}
	for _, c := range e.host.Network().ConnsToPeer(p) {
		if stat := c.Stat(); stat.Direction == network.DirOutbound && !stat.Limited {
			list.add(c.RemoteMultiaddr(), p)
		}
	}
	known := e.host.Peerstore().Addrs(p)
	slices.SortFunc(known, func(a, b multiaddr.Multiaddr) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	// What identify refused to take from the signed record stays out.
	for _, a := range e.certified(p) {
		if slices.ContainsFunc(known, a.Equal) {
			list.add(a, p)
		}
	}
	for _, a := range known {
		list.add(a, p)
	}
	return list.addrs
}

// certified returns the addresses that p has signed.
func (e *Endpoint) certified(p peer.ID) []multiaddr.Multiaddr {
	book, ok := peerstore.GetCertifiedAddrBook(e.host.Peerstore())
	if !ok {
		return nil
	}
	envelope := book.GetPeerRecord(p)
	if envelope == nil {
		return nil
	}
	record, err := envelope.Record()
	if err != nil {
		return nil
	}
	signed, ok := record.(*peer.PeerRecord)
	if !ok {
		return nil
	}
	return signed.Addrs
}

// addrList collects distinct addresses without /p2p, up to max if that is set.
type addrList struct {
	max   int
	addrs []multiaddr.Multiaddr
}

func (l *addrList) add(a multiaddr.Multiaddr, of peer.ID) {
	if l.max > 0 && len(l.addrs) >= l.max {
		return
	}
	transport, id := peer.SplitAddr(a)
	if len(transport) == 0 || id != "" && id != of || slices.ContainsFunc(l.addrs, transport.Equal) {
		return
	}
	l.addrs = append(l.addrs, transport)
}

// Remember keeps addresses of p; see Transport. Own ones are not kept.
func (e *Endpoint) Remember(p peer.ID, addrs []multiaddr.Multiaddr, ttl time.Duration) {
	if p == e.host.ID() || len(addrs) == 0 {
		return
	}
	e.host.Peerstore().AddAddrs(p, addrs, ttl)
}

// PublicKey returns p's public key; see Transport.
func (e *Endpoint) PublicKey(p peer.ID) (crypto.PubKey, error) {
	if key := e.host.Peerstore().PubKey(p); key != nil {
		return key, nil
	}
	key, err := p.ExtractPublicKey()
	if err != nil {
		return nil, fmt.Errorf("host: public key of %s: %w", p, err)
	}
	return key, nil
}
