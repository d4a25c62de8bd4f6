package build

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// What may have been received over TCP and not been read: a stream's window alone
// bounds it by 256 KiB and more for each stream, of which a peer may open 64
// (reliability.md P5).
const (
	// usualInflow is a connection's part of it: 20 MB/s where a round trip takes 100
	// ms.
	usualInflow = 2 << 20
	// calmInflow is how much all connections may hold before each gets crowdedInflow
	// only, a stream's first window: 64 MiB in all with the 192 connections there can
	// be.
	calmInflow    = 16 << 20
	crowdedInflow = 256 << 10
	// inflowLook is how often a connection that reads nothing looks whether others
	// have made room.
	inflowLook = 50 * time.Millisecond
	// knockLooks is after how many of these it asks whether the peer is still there:
	// of one that has gone, what it left unread would be held until something is
	// written to it, which a paused stream does 5 s later. A connection to which
	// nothing could be written for knockPatience is as good as gone (yamux has the
	// same).
	knockLooks    = 5
	knockPatience = 10 * time.Second
	// maxUnaccepted is far above the number of new streams that yamux keeps waiting.
	maxUnaccepted = 4096
)

// inflow is what all connections hold that nobody has read, in bytes.
type inflow struct{ held atomic.Int64 }

// limit is what one connection may hold now.
func (f *inflow) limit() int64 {
	if f.held.Load() >= calmInflow {
		return crowdedInflow
	}
	return usualInflow
}

// The parts of a yamux header that matter here (yamux spec, "Framing").
const (
	yamuxHeader = 12
	yamuxData   = 0
	yamuxPing   = 2
	yamuxSYN    = 1
	yamuxRST    = 8
)

// meter is a connection that yamux reads from. It looks at the headers that pass
// and stops reading where one announces data beyond the limit, until enough of what
// is there has been read: then it is the peer's turn to hold it. Who is stopped is
// the connection, not a stream of it, so a peer whose streams are not read cannot
// use others either.
//
// Invariant: unread is the sum of streams, and part of all.held; a stream is in
// streams from its first header, or our opening it, until it ends on either side.
type meter struct {
	net.Conn
	all    *inflow
	closed chan struct{}
	close  sync.Once
	room   chan struct{} // gets one when something has been read

	// Of yamux's reading goroutine: the header so far, and what is left of a body.
	header [yamuxHeader]byte
	filled int
	body   uint32

	mu         sync.Mutex
	unread     int64
	streams    map[uint32]int64
	unaccepted []uint32 // opened by the peer, in order
	ended      bool
}

func newMeter(c net.Conn, all *inflow) *meter {
	return &meter{Conn: c, all: all, closed: make(chan struct{}), room: make(chan struct{}, 1), streams: make(map[uint32]int64)}
}

// Read implements net.Conn. It never reads beyond the end of a header or body.
func (m *meter) Read(b []byte) (int, error) {
	if m.body > 0 {
		n, err := m.Conn.Read(b[:min(uint64(len(b)), uint64(m.body))])
		m.body -= uint32(n)
		return n, err
	}
	n, err := m.Conn.Read(b[:min(len(b), yamuxHeader-m.filled)])
	m.filled += copy(m.header[m.filled:], b[:n])
	if m.filled == yamuxHeader {
		m.filled = 0
		if stopped := m.frame(); stopped != nil {
			return 0, stopped
		}
	}
	return n, err
}

// Close implements net.Conn.
func (m *meter) Close() error {
	m.close.Do(func() { close(m.closed) })
	m.mu.Lock()
	m.ended = true
	m.all.held.Add(-m.unread)
	m.unread = 0
	clear(m.streams)
	m.mu.Unlock()
	return m.Conn.Close()
}

var errUnaccepted = errors.New("build: too many new streams")

// frame notes a header, and waits where it announces more than there is room for.
func (m *meter) frame() error {
	flags, id := binary.BigEndian.Uint16(m.header[2:]), binary.BigEndian.Uint32(m.header[4:])
	size := binary.BigEndian.Uint32(m.header[8:])
	if flags&yamuxSYN != 0 && m.header[1] <= 1 && !m.opened(id) {
		return errUnaccepted
	}
	if flags&yamuxRST != 0 {
		m.end(id)
	}
	if m.header[1] != yamuxData || size == 0 {
		return nil
	}
	m.body = size
	return m.wait(id, int64(size))
}

// wait books size bytes for a stream as soon as there is room. It fails when the
// connection has ended.
func (m *meter) wait(id uint32, size int64) error {
	var look *time.Ticker
	for looks := 0; !m.hold(id, size); {
		if look == nil {
			look = time.NewTicker(inflowLook)
			defer look.Stop()
		}
		select {
		case <-m.room:
		case <-look.C:
			if looks++; looks%knockLooks == 0 {
				if err := m.knock(); err != nil {
					return err
				}
			}
		case <-m.closed:
			return net.ErrClosed
		}
	}
	return nil
}

// knock is a ping that no session waits for. yamux writes each frame as a whole, so
// that it comes between two.
func (m *meter) knock() error {
	frame := [yamuxHeader]byte{1: yamuxPing, 3: yamuxSYN, 8: 0xff, 9: 0xff, 10: 0xff, 11: 0xff}
	if err := m.Conn.SetWriteDeadline(time.Now().Add(knockPatience)); err != nil {
		return err
	}
	_, err := m.Conn.Write(frame[:])
	return err
}

// opened notes a stream that the peer opens; false if there are too many that
// nobody has accepted.
func (m *meter) opened(id uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.streams[id]; known || m.ended {
		return true
	}
	m.streams[id] = 0
	m.unaccepted = append(m.unaccepted, id)
	return len(m.unaccepted) <= maxUnaccepted
}

// hold books size bytes for a stream; false if there is no room. What is for a
// stream that has ended is thrown away by yamux and needs none.
func (m *meter) hold(id uint32, size int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.streams[id]; !known {
		return true
	}
	if m.unread+size > m.all.limit() {
		return false
	}
	m.add(id, size)
	return true
}

// add changes what a stream holds; m.mu is held.
func (m *meter) add(id uint32, size int64) {
	m.streams[id] += size
	m.unread += size
	m.all.held.Add(size)
}

// ours notes a stream that this side has opened, accepted one that the peer has:
// those it opened before and that were not accepted have been turned away, as
// yamux hands them out in order.
func (m *meter) ours(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.streams[id]; !known && !m.ended {
		m.streams[id] = 0
	}
}

func (m *meter) accepted(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, other := range m.unaccepted {
		if other == id {
			m.unaccepted = append(m.unaccepted[:0], m.unaccepted[i+1:]...)
			return
		}
		m.endLocked(other)
	}
	m.unaccepted = m.unaccepted[:0]
}

// read notes that n bytes of a stream have been read.
func (m *meter) read(id uint32, n int) {
	if n <= 0 {
		return
	}
	m.mu.Lock()
	if held, known := m.streams[id]; known {
		m.add(id, -min(held, int64(n)))
	}
	m.mu.Unlock()
	m.notify()
}

// end notes that a stream has ended, and what it held with it.
func (m *meter) end(id uint32) {
	m.mu.Lock()
	m.endLocked(id)
	m.mu.Unlock()
	m.notify()
}

func (m *meter) endLocked(id uint32) {
	if held, known := m.streams[id]; known {
		m.add(id, -held)
		delete(m.streams, id)
	}
}

// notify tells who waits for room to look again.
func (m *meter) notify() {
	select {
	case m.room <- struct{}{}:
	default:
	}
}
