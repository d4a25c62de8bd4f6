package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// memory are wires within the process.
//
// Invariant: an address has one listener and one inbox at most.
type memory struct {
	mu        sync.Mutex
	listeners map[netip.AddrPort]*listener
	inboxes   map[netip.AddrPort]*inbox
	next      uint16 // the next free port, unless it is taken
}

func newMemory() *memory {
	return &memory{listeners: make(map[netip.AddrPort]*listener), inboxes: make(map[netip.AddrPort]*inbox)}
}

// firstPort is the first of those that systems give away.
const firstPort = 32768

// enter puts v at an address, or, if that has port 0, at a free one; m.mu is held.
func enter[T any](m *memory, taken map[netip.AddrPort]T, at netip.AddrPort, make func(netip.AddrPort) T) (T, error) {
	var none T
	if at.Port() != 0 {
		if _, ok := taken[at]; ok {
			return none, fmt.Errorf("link: address in use: %s", at)
		}
		taken[at] = make(at)
		return taken[at], nil
	}
	for range 1 << 16 {
		m.next = max(m.next+1, firstPort)
		a := netip.AddrPortFrom(at.Addr(), m.next)
		if _, ok := taken[a]; !ok {
			taken[a] = make(a)
			return taken[a], nil
		}
	}
	return none, fmt.Errorf("link: no free port at %s", at.Addr())
}

func (m *memory) packets(at *net.UDPAddr) (net.PacketConn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, err := enter(m, m.inboxes, plain(at.AddrPort()), func(a netip.AddrPort) *inbox { return newInbox(m, a) })
	if err != nil {
		return nil, err
	}
	return in, nil
}

func (m *memory) listen(at netip.AddrPort) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := enter(m, m.listeners, at, func(a netip.AddrPort) *listener {
		return &listener{wires: m, at: a, queue: make(chan net.Conn, backlog), closed: make(chan struct{})}
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// connect dials, taking the time of a TCP handshake: the side that is dialed accepts
// when the third packet has arrived.
func (m *memory) connect(ctx context.Context, n *Network, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	if err := n.travel(ctx, from, to.Addr()); err != nil {
		return nil, err
	}
	m.mu.Lock()
	l := m.listeners[to]
	m.next = max(m.next+1, firstPort)
	at := netip.AddrPortFrom(from, m.next)
	m.mu.Unlock()
	if err := n.travel(ctx, to.Addr(), from); err != nil {
		return nil, err
	}
	if l == nil {
		return nil, fmt.Errorf("link: connection to %s refused", to)
	}
	there, back := newLane(n, from, to.Addr()), newLane(n, to.Addr(), from)
	local, remote := net.TCPAddrFromAddrPort(at), net.TCPAddrFromAddrPort(to)
	time.AfterFunc(n.road(from, to.Addr()).delay, func() {
		l.offer(&conn{in: there, out: back, local: remote, remote: local})
	})
	return &conn{in: back, out: there, local: local, remote: remote}, nil
}

// Close ends all listeners and sockets.
func (m *memory) Close() error {
	m.mu.Lock()
	var open []net.PacketConn
	for _, in := range m.inboxes {
		open = append(open, in)
	}
	var listening []*listener
	for _, l := range m.listeners {
		listening = append(listening, l)
	}
	m.mu.Unlock()
	for _, in := range open {
		_ = in.Close()
	}
	for _, l := range listening {
		_ = l.Close()
	}
	return nil
}

// backlog is how many connections wait for Accept, or datagrams for ReadFrom, before
// further ones are refused, or lost.
const backlog = 1024

// listener is a net.Listener.
type listener struct {
	wires  *memory
	at     netip.AddrPort
	queue  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *listener) offer(c net.Conn) {
	select {
	case <-l.closed:
		_ = c.Close()
		return
	default:
	}
	select {
	case l.queue <- c:
	default:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.wires.mu.Lock()
		delete(l.wires.listeners, l.at)
		l.wires.mu.Unlock()
		close(l.closed)
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

// letter is a datagram and who has sent it.
type letter struct {
	from netip.AddrPort
	b    []byte
}

// inbox is a net.PacketConn.
type inbox struct {
	wires  *memory
	at     netip.AddrPort
	queue  chan letter
	once   sync.Once
	closed chan struct{}
	due    *deadline
}

func newInbox(m *memory, at netip.AddrPort) *inbox {
	return &inbox{wires: m, at: at, queue: make(chan letter, backlog), closed: make(chan struct{}), due: newDeadline()}
}

// ReadFrom implements net.PacketConn.
func (in *inbox) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		alarm, moved, err := in.due.wait()
		if err != nil {
			return 0, nil, err
		}
		select {
		case l := <-in.queue:
			return copy(b, l.b), net.UDPAddrFromAddrPort(l.from), nil
		case <-in.closed:
			return 0, nil, net.ErrClosed
		case <-alarm:
		case <-moved:
		}
	}
}

// WriteTo implements net.PacketConn: the datagram is there at once, or lost.
func (in *inbox) WriteTo(b []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errors.New("link: no UDP address: " + to.String())
	}
	in.wires.mu.Lock()
	other := in.wires.inboxes[plain(udp.AddrPort())]
	in.wires.mu.Unlock()
	if other != nil {
		select {
		case other.queue <- letter{in.at, append([]byte(nil), b...)}:
		default:
		}
	}
	return len(b), nil
}

// Close implements net.PacketConn.
func (in *inbox) Close() error {
	in.once.Do(func() {
		in.wires.mu.Lock()
		delete(in.wires.inboxes, in.at)
		in.wires.mu.Unlock()
		close(in.closed)
	})
	return nil
}

// LocalAddr implements net.PacketConn.
func (in *inbox) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(in.at) }

// SetDeadline implements net.PacketConn.
func (in *inbox) SetDeadline(t time.Time) error { in.due.set(t); return nil }

// SetReadDeadline implements net.PacketConn.
func (in *inbox) SetReadDeadline(t time.Time) error { in.due.set(t); return nil }

// SetWriteDeadline implements net.PacketConn; writing never waits.
func (in *inbox) SetWriteDeadline(time.Time) error { return nil }

// plain makes an IPv4 address of one that IPv6 carries.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
