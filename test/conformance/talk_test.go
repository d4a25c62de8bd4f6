package conformance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

// Waits of the replay, in real time because the streams are real.
const (
	// silence without a word is "no answer" (README of the vectors).
	silence = 2500 * time.Millisecond
	// patience is how long an answer that must come may take on a busy machine.
	patience = 20 * time.Second
)

// talk is one raw stream to the server: what comes back is cut into frames and
// the stream's end by a reader of its own, so that a wait for silence never
// tears a frame.
type talk struct {
	stream    network.Stream
	heard     chan outcome
	lastWrite time.Time
}

// outcome is one thing that came back: a frame (length prefix included) or the
// end of the stream. The zero outcome is silence.
type outcome struct {
	frame frame
	end   string // reset, eof, refused or, never expected, what else ended it
	at    time.Time
}

// String describes the outcome in a failure.
func (o outcome) String() string {
	switch {
	case o.end != "":
		return o.end
	case o.frame != nil:
		return "frame " + abbreviate(o.frame)
	default:
		return noAnswer
	}
}

// open opens a stream from h to the server and negotiates the protocol at
// once: a lazy negotiation would hide a refusal, and would not even open a
// stream on which nothing is said. A refusal is an ended talk, not an error.
func open(ctx context.Context, h host.Host, to peer.ID, id protocol.ID) (*talk, error) {
	s, err := h.Network().NewStream(network.WithNoDial(ctx, "the exchange needs the connection of the set-up"), to)
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	t := &talk{stream: s, heard: make(chan outcome, 64), lastWrite: time.Now()}
	deadline, _ := ctx.Deadline()
	_ = s.SetDeadline(deadline) // a stream that cannot have one is bounded by the test's own limit
	err = multistream.SelectProtoOrFail(id, s)
	if errors.Is(err, multistream.ErrNotSupported[protocol.ID]{}) {
		_ = s.Reset()
		t.heard <- outcome{end: refused, at: time.Now()}
		return t, nil
	}
	if err != nil {
		_ = s.Reset()
		return nil, fmt.Errorf("negotiate %s: %w", id, err)
	}
	_ = s.SetDeadline(time.Time{})
	t.lastWrite = time.Now()
	go t.listen()
	return t, nil
}

// listen reads until the stream ends. Nobody has to take what it hears: the
// channel holds more than any exchange answers.
func (t *talk) listen() {
	r := bufio.NewReader(t.stream)
	for {
		f, err := readFrame(r)
		o := outcome{frame: f, at: time.Now()}
		if err != nil {
			o.frame, o.end = nil, endOf(err)
			if o.end == reset && t.stream.Conn().IsClosed() { // TCP's muxer resets all streams when it ends
				o.end = "connection lost"
			}
		}
		select {
		case t.heard <- o:
		default: // an endless answer; the exchange has failed already
			_ = t.stream.Reset()
			return
		}
		if err != nil {
			return
		}
	}
}

// readFrame reads one frame with its length prefix. io.EOF means that the
// stream ended between two frames.
func readFrame(r *bufio.Reader) (frame, error) {
	var f frame
	size := uint64(0)
	for shift := 0; ; shift += 7 {
		b, err := r.ReadByte()
		if err != nil && len(f) > 0 {
			return nil, cutShort(err)
		}
		if err != nil {
			return nil, err
		}
		f = append(f, b)
		size |= uint64(b&0x7f) << shift
		if b < 0x80 {
			break
		}
		if shift >= 28 {
			return nil, errors.New("length prefix without end")
		}
	}
	const most = 8 << 20 // twice the largest frame: a longer one is wrong anyway
	if size > most {
		return nil, fmt.Errorf("frame of %d bytes announced", size)
	}
	head := len(f)
	f = append(f, make([]byte, size)...)
	if _, err := io.ReadFull(r, f[head:]); err != nil {
		return nil, cutShort(err)
	}
	return f, nil
}

// cutShort makes a clean end inside a frame an error of its own.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the stream was closed inside a frame")
	}
	return err
}

// endOf names how a stream ended.
func endOf(err error) string {
	var conn *network.ConnError
	switch {
	case err == io.EOF: //nolint:errorlint // only the bare one is a clean end
		return eof
	case errors.As(err, &conn): // is a network.ErrReset too, so asked first
		return "connection lost: " + err.Error()
	case errors.Is(err, network.ErrReset):
		return reset
	default:
		return err.Error()
	}
}

// write writes b in pieces of chunk bytes (0: in one). A failure to write is
// nothing to report: a server may end the stream at any byte, and what it does
// is heard.
func (t *talk) write(b []byte, chunk int) {
	if chunk <= 0 {
		chunk = len(b)
	}
	for len(b) > 0 {
		n := min(chunk, len(b))
		if _, err := t.stream.Write(b[:n]); err != nil {
			break
		}
		b = b[n:]
	}
	t.lastWrite = time.Now()
}

// next waits for what comes back, at most wait; the zero outcome is silence.
func (t *talk) next(wait time.Duration) outcome {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case o := <-t.heard:
		return o
	case <-timer.C:
		return outcome{}
	}
}

// pause waits as long as the recorded requester did: its pauses are part of
// the input (an idle stream, two different times of receipt), so they are
// waited for and cannot be replaced by an event.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
