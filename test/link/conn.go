package link

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// conn is one end of a TCP connection: two lanes.
type conn struct {
	in, out       *lane
	local, remote net.Addr
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) { return c.out.write(b) }

// Close implements net.Conn. The other side hears of it after all that was written.
func (c *conn) Close() error {
	c.out.finish(io.EOF)
	c.in.leave()
	return nil
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.in.setReadBy(t)
	c.out.setWriteBy(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { c.in.setReadBy(t); return nil }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { c.out.setWriteBy(t); return nil }

// sockets are wires of the loopback interface.
type sockets struct{}

func (sockets) packets(at *net.UDPAddr) (net.PacketConn, error) { return net.ListenUDP("udp4", at) }

func (sockets) listen(at netip.AddrPort) (net.Listener, error) {
	return net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
}

func (sockets) Close() error { return nil }

// connect dials, taking the time of a TCP handshake: the side that is dialed accepts
// when the first packet has arrived.
func (sockets) connect(ctx context.Context, n *Network, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	if err := n.travel(ctx, from, to.Addr()); err != nil {
		return nil, err
	}
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	real, err := dialer.DialContext(ctx, "tcp4", to.String())
	if back := n.travel(ctx, to.Addr(), from); back != nil {
		if real != nil {
			_ = real.Close()
		}
		return nil, back
	}
	if err != nil {
		return nil, err
	}
	if tcp, ok := real.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // as libp2p does: no port is held afterwards
	}
	return wrap(n, real, from, to.Addr()), nil
}

// wrap puts lanes before a real connection between two places and moves bytes between
// both until either side ends.
func wrap(n *Network, real net.Conn, from, to netip.Addr) *conn {
	c := &conn{in: newLane(n, to, from), out: newLane(n, from, to), local: real.LocalAddr(), remote: real.RemoteAddr()}
	// Who accepts can only write when it knows that the connection stands.
	c.in.last = time.Now().Add(n.road(from, to).delay + n.road(to, from).delay)
	go func() {
		buf := make([]byte, 32<<10)
		for {
			k, err := c.out.read(buf)
			if err != nil {
				break
			}
			if _, err := real.Write(buf[:k]); err != nil {
				break
			}
		}
		_ = real.Close() // the end has arrived
		c.out.leave()
	}()
	go func() {
		buf := make([]byte, 32<<10)
		for {
			k, err := real.Read(buf)
			if k > 0 {
				if _, werr := c.in.write(buf[:k]); werr != nil {
					err = werr
				}
			}
			if err != nil {
				c.in.finish(ended(err))
				return
			}
		}
	}()
	return c
}

// ended is what the far end of a lane is told of the near end's error.
func ended(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return io.EOF
	}
	return err
}
