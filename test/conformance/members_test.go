package conformance

import (
	"bufio"
	"bytes"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
)

// maxClosest is k, the most closer peers an answer names besides the target.
const maxClosest = 20

// members are the peers in the server's routing table. Each answers requests
// as a deployed peer that knows all of them would; they share the answers.
type members struct {
	mu    sync.Mutex
	peers []peerInfo
}

// know tells the members of each other, and where they are.
func (m *members) know(w *world, names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		h := w.actors[name].host
		m.peers = append(m.peers, peerInfo{id: []byte(h.ID()), addrs: addrBytes(h.Addrs()), connection: 1})
	}
}

// serve is a member's handler of inbound streams.
func (m *members) serve(s network.Stream) {
	r := bufio.NewReader(s)
	for {
		f, err := readFrame(r)
		if err != nil {
			_ = s.Close() // the other side has ended it
			return
		}
		request, err := parseMessage(bodyOf(f))
		if err != nil {
			_ = s.Reset()
			return
		}
		if answer, ok := m.answer(request, []byte(s.Conn().RemotePeer())); ok {
			if _, err := s.Write(framed(answer)); err != nil {
				return
			}
		}
	}
}

// answer is what the request brings; ADD_PROVIDER brings nothing.
func (m *members) answer(q message, from []byte) (message, bool) {
	a := message{typ: q.typ, level: max(1, q.level)}
	switch typeNames[q.typ] {
	case "PING":
		a.key = q.key
	case "PUT_VALUE":
		a.key, a.record = q.key, q.record
	case "FIND_NODE":
		a.closer = m.closest(q.key, from)
	case "GET_VALUE", "GET_PROVIDERS":
		a.key, a.closer = q.key, m.closest(q.key, from)
	default:
		return message{}, false
	}
	return a, true
}

// closest are the members nearest to key, without the one that asks.
func (m *members) closest(key, without []byte) []peerInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	near := slices.DeleteFunc(slices.Clone(m.peers), func(p peerInfo) bool { return bytes.Equal(p.id, without) })
	slices.SortFunc(near, func(a, b peerInfo) int {
		x, y := distance(key, a.id), distance(key, b.id)
		return bytes.Compare(x[:], y[:])
	})
	return near[:min(len(near), maxClosest)]
}
