package link

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Conditions are what lies between places.
type Conditions struct {
	// Delay is how long it takes from one place to the other, one way; nil: no time.
	// It must not change its mind for a pair, or what is sent later may arrive sooner.
	Delay func(from, to netip.Addr) time.Duration
	// Loss is the share of packets that are lost, 0 to 1. A datagram is gone; what a
	// TCP connection carries is sent again and comes later.
	Loss float64
	// Seed decides which are lost.
	Seed uint64
}

// Network is places and what lies between them. All its methods may be called at any
// time, by many goroutines.
type Network struct {
	wires wires

	mu      sync.Mutex
	cond    Conditions
	rand    *rand.Rand
	silent  map[netip.Addr]bool
	cut     map[pair]bool
	hung    map[netip.Addr]bool
	changed chan struct{} // closed and replaced when anything above changes
	closed  bool
}

// pair is two places, the smaller address first.
type pair [2]netip.Addr

func pairOf(a, b netip.Addr) pair {
	if b.Less(a) {
		a, b = b, a
	}
	return pair{a, b}
}

// wires carry bytes between places, at once and without loss.
type wires interface {
	// packets opens a UDP socket.
	packets(at *net.UDPAddr) (net.PacketConn, error)
	// listen opens a listener for TCP connections.
	listen(at netip.AddrPort) (net.Listener, error)
	// connect opens a TCP connection, whose lanes delay what it carries.
	connect(ctx context.Context, n *Network, from netip.Addr, to netip.AddrPort) (net.Conn, error)
	io.Closer
}

// New makes a network of sockets of the loopback interface.
func New(c Conditions) *Network { return newNetwork(c, sockets{}) }

// NewVirtual makes a network in memory.
func NewVirtual(c Conditions) *Network { return newNetwork(c, newMemory()) }

func newNetwork(c Conditions, w wires) *Network {
	return &Network{
		wires: w, cond: c, rand: rand.New(rand.NewPCG(c.Seed, 0)),
		silent: make(map[netip.Addr]bool), cut: make(map[pair]bool), hung: make(map[netip.Addr]bool),
		changed: make(chan struct{}),
	}
}

// Place returns the address of the i-th place, i from 0 to 65534.
func (n *Network) Place(i int) netip.Addr {
	if i < 0 || i >= 1<<16-1 {
		panic(fmt.Sprintf("BUG: there is no place %d", i))
	}
	return netip.AddrFrom4([4]byte{127, 66, byte((i + 1) >> 8), byte(i + 1)})
}

// Change changes the conditions; what is under way keeps the delay it was sent with.
func (n *Network) Change(change func(*Conditions)) { n.update(func() { change(&n.cond) }) }

// Silence makes all packets from and to a place vanish, or no longer. What its
// connections carry waits meanwhile, as if it were sent again and again.
func (n *Network) Silence(place netip.Addr, silent bool) {
	n.update(func() { n.silent[place] = silent })
}

// Cut makes all packets between two places vanish, or no longer.
func (n *Network) Cut(a, b netip.Addr, cut bool) { n.update(func() { n.cut[pairOf(a, b)] = cut }) }

// Hang makes a place's hosts hang, or no longer: see Hanging.
func (n *Network) Hang(place netip.Addr, hung bool) { n.update(func() { n.hung[place] = hung }) }

// Close ends everything that is under way between places.
func (n *Network) Close() error {
	n.update(func() { n.closed = true })
	return n.wires.Close()
}

func (n *Network) update(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	close(n.changed)
	n.changed = make(chan struct{})
}

// road is what lies between two places at a moment.
type road struct {
	delay   time.Duration
	open    bool // packets arrive
	lost    bool // but this one
	closed  bool // the network is
	changed <-chan struct{}
}

func (n *Network) road(from, to netip.Addr) road {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := road{changed: n.changed, closed: n.closed}
	r.open = !n.silent[from] && !n.silent[to] && !n.cut[pairOf(from, to)]
	if n.cond.Delay != nil && from != to {
		r.delay = n.cond.Delay(from, to)
	}
	r.lost = n.cond.Loss > 0 && n.rand.Float64() < n.cond.Loss
	return r
}

// travel returns when a packet that is sent now, and again until one gets through,
// has arrived.
func (n *Network) travel(ctx context.Context, from, to netip.Addr) error {
	for {
		r := n.road(from, to)
		wait := r.delay
		if r.lost {
			wait = again(r.delay)
		}
		switch {
		case r.closed:
			return net.ErrClosed
		case !r.open:
			select {
			case <-r.changed:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			if !r.lost {
				return nil
			}
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// again is how long TCP waits until it sends again what has been lost: the least that
// Linux waits, or one and a half round trips.
func again(delay time.Duration) time.Duration { return max(200*time.Millisecond, 3*delay) }
