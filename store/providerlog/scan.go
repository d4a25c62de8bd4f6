package providerlog

import (
	"errors"
	"io"
)

// chunkSize is how much of a segment is read at once, whole blocks.
const chunkSize = 64 * blockSize

// scanner reads the frames of one segment, whatever state it is in.
type scanner struct {
	f    file
	size int64

	off   int64  // of the next chunk
	buf   []byte // holds a chunk
	chunk []byte // the rest of it, from the current block on
	p     int    // where in the block the next frame is looked for

	damaged int  // places where something is unreadable
	torn    bool // nothing could be read after the last of them
}

func newScanner(f file) (*scanner, error) {
	size, err := f.Size()
	return &scanner{f: f, size: size, p: headerSize}, err
}

// next returns the payload of the next frame, which holds until the next call, or
// false at the end.
func (s *scanner) next() ([]byte, bool) {
	for {
		if len(s.chunk) == 0 && !s.read() {
			return nil, false
		}
		block := s.chunk[:min(blockSize, len(s.chunk))]
		at, n, damaged := nextFrame(block, min(s.p, len(block)))
		if damaged {
			s.damaged++
			s.torn = true
		}
		if n > 0 {
			s.torn = false
			s.p = at + frameHead + n
			return block[at+frameHead : s.p], true
		}
		s.chunk, s.p = s.chunk[len(block):], 0
	}
}

// read reads the next chunk; blocks that the disk does not give are left out.
func (s *scanner) read() bool {
	for s.off < s.size {
		n := min(chunkSize, s.size-s.off)
		if len(s.buf) < int(n) {
			s.buf = make([]byte, n)
		}
		s.chunk = s.buf[:n]
		got, err := s.f.ReadAt(s.chunk, s.off)
		switch {
		case err == nil || errors.Is(err, io.EOF):
			s.chunk = s.chunk[:got]
			s.off += n
		case n > blockSize:
			s.readBlock()
		default:
			s.skip(n)
		}
		if len(s.chunk) > 0 {
			return true
		}
	}
	return false
}

// readBlock reads one block, after a chunk could not be read.
func (s *scanner) readBlock() {
	s.chunk = s.buf[:blockSize]
	if _, err := s.f.ReadAt(s.chunk, s.off); err != nil && !errors.Is(err, io.EOF) {
		s.skip(blockSize)
		return
	}
	s.off += blockSize
}

func (s *scanner) skip(n int64) {
	s.damaged++
	s.torn = true
	s.chunk = nil
	s.off += n
	s.p = 0
}
