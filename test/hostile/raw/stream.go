package raw

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// longest is the longest frame read: twice of what the protocol allows.
const longest = 8 << 20

// Stream is a stream of frames. One goroutine may write while another reads.
type Stream struct {
	network.Stream
	in *bufio.Reader
}

func newStream(s network.Stream) *Stream { return &Stream{s, bufio.NewReader(s)} }

// ReadFrame returns the next frame without its prefix.
func (s *Stream) ReadFrame() ([]byte, error) {
	n, err := binary.ReadUvarint(s.in)
	if err != nil {
		return nil, err
	}
	if n > longest {
		return nil, fmt.Errorf("raw: a frame of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		return nil, fmt.Errorf("raw: a frame cut short: %w", err)
	}
	return b, nil
}

// SkipFrame reads the next frame and returns its length alone.
func (s *Stream) SkipFrame() (int, error) {
	n, err := binary.ReadUvarint(s.in)
	if err != nil {
		return 0, err
	}
	if n > longest {
		return 0, fmt.Errorf("raw: a frame of %d bytes", n)
	}
	return s.in.Discard(int(n))
}

// Ask writes one frame and reads the answer.
func (s *Stream) Ask(frame []byte) (*Answer, error) {
	if _, err := s.Write(frame); err != nil {
		return nil, err
	}
	b, err := s.ReadFrame()
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

// Ends waits until the other side ends the stream, for at most so long, and
// reports whether it did.
func (s *Stream) Ends(within time.Duration) bool {
	_ = s.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, s.in)
	return !isTimeout(err)
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}
