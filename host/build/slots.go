package build

import (
	"container/list"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// shareInbound of 4 places are for connections that others have made; the rest
	// is kept for those we make and for peers proven (reliability.md T8).
	shareInbound = 3
	// settling is how long a new connection is left alone if there is another choice:
	// enough for a stranger to ask and be answered.
	settling = 5 * time.Second
	// opening is how long a new connection may take to open its first stream before it
	// is taken for one that has none: some round trips with a busy machine.
	opening = 500 * time.Millisecond
	// handshakeTime is when libp2p gives up a handshake.
	handshakeTime = 15 * time.Second
)

// slots keeps room where others fill it. A flood of connections, each by a peer
// never seen before, costs newcomers their places and nobody else: where there is
// no room for one more inbound connection, one of a peer that has not proved
// useful is closed. Half of the places are for those that have settled: while
// newcomers hold the other half, the one of them that came first goes, having had
// its time; else the youngest that has settled; of either those that have opened no
// streams before those that have. So goes the oldest handshake where
// there are too many: silent sockets before those that say something.
//
// A peer is proven that somebody has protected or tagged with a value at the
// connection manager: the DHT does both with members of its table.
//
// Invariant: at most inbound unproven peers' inbound connections, but for those
// just being closed, and at most handshakes sockets without a peer.
type slots struct {
	network.NoopNotifiee
	inbound, handshakes int
	conns               connmgr.ConnManager
	now                 func() time.Time
	pace                *pace

	mu      sync.Mutex
	open    map[network.Conn]time.Time // inbound ones, and since when
	pending *list.List                 // of *handshake, oldest first
	byAddr  map[string]*list.Element   // remote multiaddr → handshake
}

// handshake is an inbound socket of nobody yet.
type handshake struct {
	addr   string
	socket io.Closer
	since  time.Time
}

func newSlots(inbound, handshakes int, conns connmgr.ConnManager) *slots {
	return &slots{
		inbound: max(1, inbound), handshakes: max(1, handshakes), conns: conns, now: time.Now, pace: newPace(time.Now()),
		open: make(map[network.Conn]time.Time), pending: list.New(), byAddr: make(map[string]*list.Element),
	}
}

// Connected implements network.Notifiee.
func (s *slots) Connected(_ network.Network, c network.Conn) {
	if c.Stat().Direction != network.DirInbound {
		return
	}
	s.mu.Lock()
	var victim network.Conn
	if len(s.open) >= s.inbound {
		if victim = s.victim(); victim != nil {
			delete(s.open, victim)
		}
	}
	s.open[c] = s.now()
	s.mu.Unlock()
	if victim != nil {
		// Closing waits for the peer; who notifies us must not.
		go victim.CloseWithError(network.ConnGarbageCollected)
	}
}

// Disconnected implements network.Notifiee.
func (s *slots) Disconnected(_ network.Network, c network.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// victim returns the connection to be closed for another; nil if all peers are
// proven.
func (s *slots) victim() network.Conn {
	settled := s.now().Add(-settling)
	var first, youngest network.Conn // of those that have not settled, and of those that have
	newcomers := 0
	for c, since := range s.open {
		switch young := since.After(settled); {
		case s.proven(c.RemotePeer()):
		case young:
			newcomers++
			if first == nil || s.gives(c, first, since.Before(s.open[first])) {
				first = c
			}
		case youngest == nil || s.gives(c, youngest, since.After(s.open[youngest])):
			youngest = c
		}
	}
	if youngest == nil || 2*newcomers >= s.inbound {
		return first
	}
	return youngest
}

// gives reports whether c gives way before o: if only one of them has streams or has
// had no time to open any, the other, which asks nothing; else as turn says.
func (s *slots) gives(c, o network.Conn, turn bool) bool {
	if asks := s.asks(c); asks != s.asks(o) {
		return !asks
	}
	return turn
}

func (s *slots) asks(c network.Conn) bool {
	return c.Stat().NumStreams > 0 || s.now().Sub(s.open[c]) < opening
}

func (s *slots) proven(p peer.ID) bool {
	if s.conns.IsProtected(p, "") {
		return true
	}
	info := s.conns.GetTagInfo(p)
	return info != nil && info.Value > 0
}

// begun notes a socket that has just been accepted, and closes the oldest if there
// are too many.
func (s *slots) begun(c network.ConnMultiaddrs) {
	socket, ok := c.(io.Closer)
	if !ok {
		return
	}
	h := &handshake{addr: c.RemoteMultiaddr().String(), socket: socket, since: s.now()}
	s.mu.Lock()
	var oldest *handshake
	for s.pending.Len() > 0 {
		first := s.pending.Front().Value.(*handshake)
		if first.since.Add(handshakeTime).After(h.since) {
			if s.pending.Len() >= s.handshakes {
				oldest = first
				s.forget(s.pending.Front())
			}
			break
		}
		s.forget(s.pending.Front()) // it has failed: nobody tells us of that
	}
	if e := s.byAddr[h.addr]; e != nil {
		s.forget(e)
	}
	s.byAddr[h.addr] = s.pending.PushBack(h)
	s.mu.Unlock()
	if oldest != nil {
		_ = oldest.socket.Close()
	}
}

// hesitation returns how long to wait before a socket is accepted: not at all while
// there is room for another connection.
func (s *slots) hesitation() time.Duration {
	s.mu.Lock()
	room := len(s.open) < s.inbound
	s.mu.Unlock()
	if room {
		return 0
	}
	return s.pace.hesitation(s.now())
}

// secured notes that a socket has become a peer's.
func (s *slots) secured(c network.ConnMultiaddrs) {
	s.pace.made(s.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byAddr[c.RemoteMultiaddr().String()]; e != nil {
		s.forget(e)
	}
}

func (s *slots) forget(e *list.Element) {
	s.pending.Remove(e)
	delete(s.byAddr, e.Value.(*handshake).addr)
}
