package link

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// window is how many bytes a lane holds before who writes has to wait, as much as
// systems give a connection.
const window = 1 << 20

// lane carries bytes one way, in order, each as long as the road is.
//
// Invariant: chunks are in the order of writing and of their due times; size is the sum
// of their bytes.
type lane struct {
	net      *Network
	from, to netip.Addr

	mu       sync.Mutex
	chunks   []chunk
	size     int
	last     time.Time // when the last chunk is due
	finished bool      // nothing more is written
	left     bool      // nobody reads any more
	readBy   time.Time
	writeBy  time.Time
	wake     chan struct{} // closed and replaced when anything above changes
}

// chunk is what one write wrote, or the end of the lane.
type chunk struct {
	due time.Time
	b   []byte
	end error
}

func newLane(n *Network, from, to netip.Addr) *lane {
	return &lane{net: n, from: from, to: to, wake: make(chan struct{})}
}

// write appends a copy of b, as soon as there is room.
func (l *lane) write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.size >= window && !l.left && !l.finished {
		r := l.net.road(l.from, l.to)
		if err := l.wait(l.writeBy, time.Time{}, r); err != nil {
			return 0, err
		}
	}
	switch {
	case l.finished:
		return 0, net.ErrClosed
	case l.left:
		return len(b), nil // the reader's farewell is on its way
	}
	l.append(chunk{b: append([]byte(nil), b...)})
	return len(b), nil
}

// finish ends the lane: who reads gets err after all that has been written.
func (l *lane) finish(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.finished {
		l.finished = true
		l.append(chunk{end: err})
	}
}

// append gives the chunk its due time; l.mu is held.
func (l *lane) append(c chunk) {
	r := l.net.road(l.from, l.to)
	c.due = time.Now().Add(r.delay)
	if r.lost {
		c.due = c.due.Add(again(r.delay))
	}
	if c.due.Before(l.last) {
		c.due = l.last
	}
	l.last = c.due
	l.size += len(c.b)
	l.chunks = append(l.chunks, c)
	l.stir()
}

// read takes what is due.
func (l *lane) read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.left {
			return 0, net.ErrClosed
		}
		r := l.net.road(l.from, l.to)
		var due time.Time
		if len(l.chunks) > 0 && r.open {
			if due = l.chunks[0].due; !due.After(time.Now()) {
				return l.take(b)
			}
		}
		if err := l.wait(l.readBy, due, r); err != nil {
			return 0, err
		}
	}
}

// take moves bytes of the first chunk into b; l.mu is held.
func (l *lane) take(b []byte) (int, error) {
	c := &l.chunks[0]
	if c.end != nil {
		return 0, c.end
	}
	n := copy(b, c.b)
	c.b = c.b[n:]
	l.size -= n
	if len(c.b) == 0 {
		l.chunks = l.chunks[1:]
	}
	l.stir()
	return n, nil
}

// leave throws away what has not been read and all that is still written.
func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.chunks, l.size = true, nil, 0
	l.stir()
}

func (l *lane) setReadBy(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readBy = t
	l.stir()
}

func (l *lane) setWriteBy(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writeBy = t
	l.stir()
}

// stir wakes whoever waits; l.mu is held.
func (l *lane) stir() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// wait returns when something may have changed, or at the instant due; it fails at
// the deadline. l.mu is held, but not meanwhile.
func (l *lane) wait(deadline, due time.Time, r road) error {
	if r.closed {
		return io.ErrClosedPipe
	}
	until := due
	if !deadline.IsZero() {
		if !deadline.After(time.Now()) {
			return os.ErrDeadlineExceeded
		}
		if due.IsZero() || deadline.Before(due) {
			until = deadline
		}
	}
	wake := l.wake
	l.mu.Unlock()
	defer l.mu.Lock()
	var alarm <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-wake:
	case <-r.changed:
	case <-alarm:
	}
	return nil
}
