package link

import (
	"container/heap"
	"net"
	"net/netip"
	"sync"
	"time"
)

// packets is a UDP socket at a place. What is written to it leaves when it is due at
// the other end, if it is not lost.
type packets struct {
	net.PacketConn
	net  *Network
	from netip.Addr

	mu     sync.Mutex
	post   post
	seq    uint64
	wake   chan struct{} // gets one when the first of post is another
	closed chan struct{}
	once   sync.Once
}

// parcel is a datagram on its way.
type parcel struct {
	due time.Time
	seq uint64 // of its making
	to  net.Addr
	b   []byte
}

func newPackets(n *Network, from netip.Addr, real net.PacketConn) *packets {
	p := &packets{PacketConn: real, net: n, from: from, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	go p.deliver()
	return p
}

// WriteTo implements net.PacketConn.
func (p *packets) WriteTo(b []byte, to net.Addr) (int, error) {
	r := p.net.road(p.from, placeOf(to))
	if r.closed {
		return 0, net.ErrClosed
	}
	if !r.open || r.lost {
		return len(b), nil
	}
	p.mu.Lock()
	p.seq++
	heap.Push(&p.post, parcel{time.Now().Add(r.delay), p.seq, to, append([]byte(nil), b...)})
	first := p.post[0].seq == p.seq
	p.mu.Unlock()
	if first {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return len(b), nil
}

// deliver writes what is due, until the socket is closed.
func (p *packets) deliver() {
	for {
		p.mu.Lock()
		var alarm <-chan time.Time
		var due *parcel
		if len(p.post) > 0 {
			if left := time.Until(p.post[0].due); left > 0 {
				alarm = time.After(left)
			} else {
				first := heap.Pop(&p.post).(parcel)
				due = &first
			}
		}
		p.mu.Unlock()
		if due != nil {
			if p.net.road(p.from, placeOf(due.to)).open {
				_, _ = p.PacketConn.WriteTo(due.b, due.to)
			}
			continue
		}
		select {
		case <-alarm:
		case <-p.wake:
		case <-p.closed:
			return
		}
	}
}

// Close implements net.PacketConn. What is on its way is lost.
func (p *packets) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.PacketConn.Close()
}

// SetReadBuffer and SetWriteBuffer are what QUIC asks for; a place has as much as it
// needs.
func (p *packets) SetReadBuffer(int) error { return nil }

// SetWriteBuffer: see SetReadBuffer.
func (p *packets) SetWriteBuffer(int) error { return nil }

// placeOf returns the place that a socket's address belongs to.
func placeOf(a net.Addr) netip.Addr {
	if udp, ok := a.(*net.UDPAddr); ok {
		return udp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// post is parcels, the next one first.
type post []parcel

func (q post) Len() int { return len(q) }

func (q post) Less(i, j int) bool {
	if q[i].due.Equal(q[j].due) {
		return q[i].seq < q[j].seq
	}
	return q[i].due.Before(q[j].due)
}

func (q post) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *post) Push(x any) { *q = append(*q, x.(parcel)) }

// Pop implements heap.Interface.
func (q *post) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
