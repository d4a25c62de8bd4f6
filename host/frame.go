package host

import (
	"errors"
	"io"

	pool "github.com/libp2p/go-buffer-pool"
	"github.com/multiformats/go-varint"
)

// What can be wrong with a frame. Both are the sender's fault.
var (
	// ErrFrameTooLarge means that a prefix announced more than Config.MaxFrame.
	ErrFrameTooLarge = errors.New("frame too large")
	// ErrFramePrefix means that a length prefix is over-long or overflows.
	ErrFramePrefix = errors.New("malformed frame length")
)

const (
	// headSize is how much a reader takes in before it knows the frame's length.
	// Most requests fit (FIND_NODE: 45 bytes), so they cost one Read and no buffer;
	// and an idle stream costs no more than this.
	headSize = 128
	// firstChunk is the largest buffer that is allocated on the word of a length
	// prefix alone; beyond it buffers double as bytes arrive (reliability.md T13).
	firstChunk = 4 << 10
	// maxPooled is the largest buffer worth keeping for the next frame.
	maxPooled = 64 << 10
)

// frameReader cuts a stream into frames: an unsigned varint, minimal and at most
// nine bytes, then as many bytes as it says (wire.md §2). What it holds is
// bounded by headSize and the frame being read. It is not safe for concurrent
// use, and unusable after an error.
type frameReader struct {
	src io.Reader
	max uint64 // longest frame accepted
	// head[pos:end] has been received and not yet been consumed.
	pos, end int
	head     [headSize]byte
}

// prefix reads the next frame's length. It returns io.EOF only if the stream
// ended between frames, and an error before reading on if the length is beyond
// the limit.
func (f *frameReader) prefix() (int, error) {
	n, err := varint.ReadUvarint(f)
	switch {
	case err == varint.ErrNotMinimal || err == varint.ErrOverflow:
		return 0, errors.Join(ErrFramePrefix, err)
	case err != nil:
		return 0, err
	case n > f.max:
		return 0, ErrFrameTooLarge
	}
	return int(n), nil // max is an int, so n fits
}

// ReadByte implements io.ByteReader on the head.
func (f *frameReader) ReadByte() (byte, error) {
	if f.pos == f.end {
		n, err := readSome(f.src, f.head[:])
		if err != nil {
			return 0, err
		}
		f.pos, f.end = 0, n
	}
	b := f.head[f.pos]
	f.pos++
	return b, nil
}

// empty reports that nothing has been received beyond the last frame, as far as
// is known.
func (f *frameReader) empty() bool { return f.pos == f.end }

// inHead returns the next size bytes if they have been received already. The
// slice is valid until the next call on f.
func (f *frameReader) inHead(size int) ([]byte, bool) {
	if f.end-f.pos < size {
		return nil, false
	}
	b := f.head[f.pos : f.pos+size : f.pos+size]
	f.pos += size
	return b, true
}

// body reads a frame of size bytes into memory that grow provides. grow is told
// what is filled so far and how large the buffer must be; it returns a buffer
// with the same beginning. It is asked for no more than firstChunk, or twice of
// what has arrived.
func (f *frameReader) body(size int, grow func(filled []byte, to int) ([]byte, error)) ([]byte, error) {
	buf, err := grow(nil, min(size, firstChunk))
	if err != nil {
		return nil, err
	}
	filled := copy(buf, f.head[f.pos:f.end])
	f.pos += filled
	for {
		n, err := io.ReadFull(f.src, buf[filled:])
		filled += n
		if err != nil {
			return buf, unexpected(err)
		}
		if filled == size {
			return buf, nil
		}
		larger, err := grow(buf, min(size, 2*filled))
		if err != nil {
			return buf, err
		}
		buf = larger
	}
}

// readSome reads at least one byte.
func readSome(r io.Reader, b []byte) (int, error) {
	for range 100 {
		if n, err := r.Read(b); n > 0 || err != nil {
			if n > 0 {
				err = nil // it will be met again by the next read
			}
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// unexpected turns an end of stream inside a frame into an error of its own.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// prefixRoom is the room in front of an answer for its length prefix.
const prefixRoom = varint.MaxLenUvarint63

// prefixed writes the length of the size bytes at buf[prefixRoom:] right in
// front of them and returns the frame.
func prefixed(buf []byte, size int) []byte {
	start := prefixRoom - varint.UvarintSize(uint64(size))
	varint.PutUvarint(buf[start:prefixRoom], uint64(size))
	return buf[start : prefixRoom+size]
}

// writeFrame writes b as one frame with one Write, so that a small frame is one
// packet.
func writeFrame(w io.Writer, b []byte) error {
	buf := bufferOf(prefixRoom + len(b))
	copy(buf[prefixRoom:], b)
	_, err := w.Write(prefixed(buf, len(b)))
	recycle(buf)
	return err
}

// bufferOf returns a buffer of n bytes for recycle to take back. What is in it is
// anything.
func bufferOf(n int) []byte {
	if n > maxPooled {
		return make([]byte, n)
	}
	return pool.Get(n)
}

// recycle keeps a buffer for the next frame unless that would cost more than
// making one. Nobody may hold on to it.
func recycle(buf []byte) {
	if cap(buf) <= maxPooled {
		pool.Put(buf)
	}
}
