package host

import (
	"time"

	pool "github.com/libp2p/go-buffer-pool"
	"github.com/libp2p/go-libp2p/core/network"
)

const (
	// serveBase is the memory booked for a served stream as long as it lives; a
	// request and an answer of usual size need no more.
	serveBase = 8 << 10
	// usualFrame is the request that fits; larger ones are booked as they arrive.
	usualFrame = 4 << 10
	// usualAnswer is the room given for a stream's first answer: an answer of
	// twenty peers takes 2.2 KiB (performance.md §2.1).
	usualAnswer = 4<<10 - prefixRoom
	// hastyFirst and hastyFrame are what is left of the idle timeout under pressure:
	// for a stream's first byte, and for a started frame beyond a second per KiB
	// (wire.md §22, reliability.md P4).
	hastyFirst = 10 * time.Second
	hastyFrame = 5 * time.Second
)

// conversation is the state of one served stream between its frames. It belongs
// to the stream's goroutine.
type conversation struct {
	server  *server
	in      *inbound
	from    Sender
	frames  frameReader
	account account
	room    int  // for the next answer
	later   bool // a whole frame has been received
}

func (v *server) newConversation(in *inbound) (*conversation, error) {
	scope := in.stream.Scope()
	c := &conversation{
		server: v, in: in,
		from:    sender(in.stream.Conn()),
		frames:  frameReader{src: in.stream, max: uint64(v.cfg.MaxFrame)},
		account: account{scope: scope, prio: network.ReservationPriorityMedium, base: serveBase},
		room:    usualAnswer,
	}
	if err := scope.SetService(serviceName); err != nil {
		return nil, err
	}
	return c, c.account.hold(serveBase)
}

// exchange reads one frame, answers it, and waits as long as the handler wants
// the peer to wait. io.EOF means that the peer closed its side before the frame.
func (c *conversation) exchange(handle FrameHandler) error {
	frame, buf, err := c.read()
	var pause time.Duration
	if err == nil {
		pause, err = c.answer(handle, frame)
	}
	if buf != nil {
		recycle(buf)
		if cap(buf) > usualFrame {
			_ = c.server.buffer(c.in, 0) // to free never fails, or the stream is gone
		}
	}
	c.account.settle()
	if err == nil && pause > 0 {
		err = c.wait(pause)
	}
	return err
}

// read returns the next frame and the buffer it is in, which is nil if that is
// the reader's head. One deadline holds from before the first byte to the last.
func (c *conversation) read() (frame, buf []byte, err error) {
	due := time.Now().Add(c.patience())
	if err := c.in.readBy(due); err != nil {
		return nil, nil, err
	}
	size, err := c.frames.prefix()
	if err != nil {
		return nil, nil, err
	}
	frame, ok := c.frames.inHead(size)
	if !ok {
		if err := c.hasten(due, size); err != nil {
			return nil, nil, err
		}
		if buf, err = c.frames.body(size, c.grow); err != nil {
			return nil, buf, err
		}
		frame = buf
	}
	c.later = true
	return frame, buf, c.in.begin()
}

// patience is how long the next whole frame may take.
func (c *conversation) patience() time.Duration {
	idle := c.server.cfg.IdleTimeout
	switch {
	case !c.server.pressed.Load():
		return idle
	case c.later:
		return idle / 2
	}
	return min(idle/2, hastyFirst)
}

// hasten moves the deadline of a frame that has begun to arrive forward if the
// server is under pressure.
func (c *conversation) hasten(due time.Time, size int) error {
	hasty := time.Now().Add(hastyFrame + time.Duration(size>>10)*time.Second)
	if !c.server.pressed.Load() || hasty.After(due) {
		return nil
	}
	return c.in.readBy(hasty)
}

// grow provides the buffer of an arriving frame, booked before it is made.
func (c *conversation) grow(filled []byte, to int) ([]byte, error) {
	if to > usualFrame {
		if err := c.server.buffer(c.in, to); err != nil {
			return filled, err
		}
		if err := c.account.hold(serveBase + to - usualFrame); err != nil {
			return filled, err
		}
	}
	larger := bufferOf(to)
	copy(larger, filled)
	recycle(filled)
	return larger, nil
}

// answer has the frame handled and writes what the handler answers, if anything.
func (c *conversation) answer(handle FrameHandler, frame []byte) (time.Duration, error) {
	buf := pool.Get(prefixRoom + c.room)
	defer recycle(buf)
	answer, pause, err := handle(c.from, frame, buf[prefixRoom:prefixRoom])
	if err != nil {
		return 0, err
	}
	// From here on it is the peer that is waited for, also while it takes the answer.
	if err := c.in.rest(time.Now()); err != nil || answer == nil {
		return pause, err
	}
	if len(answer) > c.server.cfg.MaxFrame {
		return 0, ErrFrameTooLarge
	}
	if err := c.account.hold(len(frame) + len(answer)); err != nil {
		return 0, err
	}
	c.room = min(max(c.room, len(answer)), maxPooled-prefixRoom)
	return pause, c.write(answer, buf)
}

// write sends the answer, in place if it is in buf.
func (c *conversation) write(answer, buf []byte) error {
	if err := c.in.writeBy(time.Now().Add(c.server.cfg.WriteTimeout)); err != nil {
		return err
	}
	if len(answer) > 0 && &answer[0] == &buf[prefixRoom] {
		_, err := c.in.stream.Write(prefixed(buf[:cap(buf)], len(answer)))
		return err
	}
	return writeFrame(c.in.stream, answer)
}

// wait delays the stream's next read.
func (c *conversation) wait(pause time.Duration) error {
	timer := time.NewTimer(min(pause, c.server.cfg.IdleTimeout))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.in.gone:
		return c.in.kicked()
	}
}
