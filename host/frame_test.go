package host

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/multiformats/go-varint"
)

// frameOf is a frame as any peer writes it.
func frameOf(body []byte) []byte {
	return append(varint.ToUvarint(uint64(len(body))), body...)
}

// readFrame reads one frame and checks that no buffer is made larger than twice
// of what has arrived, or firstChunk.
func readFrame(t testing.TB, f *frameReader) ([]byte, error) {
	t.Helper()
	size, err := f.prefix()
	if err != nil {
		return nil, err
	}
	if b, ok := f.inHead(size); ok {
		return bytes.Clone(b), nil
	}
	return f.body(size, func(filled []byte, to int) ([]byte, error) {
		if to > max(firstChunk, 2*len(filled)) || to > size {
			t.Fatalf("a buffer of %d bytes with %d received of %d", to, len(filled), size)
		}
		return append(make([]byte, 0, to), filled...)[:to], nil
	})
}

func TestFramePrefixes(t *testing.T) {
	const limit = 4 << 20
	for _, c := range []struct {
		name string
		in   []byte
		want error
		size int
	}{
		{"nothing", nil, io.EOF, 0},
		{"zero", []byte{0}, nil, 0},
		{"one byte", []byte{0x7f}, nil, 127},
		{"two bytes", []byte{0x80, 0x01}, nil, 128},
		{"the limit", varint.ToUvarint(limit), nil, limit},
		{"the limit and one", varint.ToUvarint(limit + 1), ErrFrameTooLarge, 0},
		{"2^31", varint.ToUvarint(1 << 31), ErrFrameTooLarge, 0},
		{"2^32, which is 0 in 32 bits", varint.ToUvarint(1 << 32), ErrFrameTooLarge, 0},
		{"2^32 and 1", varint.ToUvarint(1<<32 + 1), ErrFrameTooLarge, 0},
		{"2^63-1, nine bytes", varint.ToUvarint(1<<63 - 1), ErrFrameTooLarge, 0},
		{"ten bytes", binary.AppendUvarint(nil, 1<<63), ErrFramePrefix, 0},
		{"eleven bytes", bytes.Repeat([]byte{0xff}, 11), ErrFramePrefix, 0},
		{"over-long zero", []byte{0x80, 0x00}, ErrFramePrefix, 0},
		{"over-long one", []byte{0x81, 0x80, 0x00}, ErrFramePrefix, 0},
		{"cut", []byte{0x80}, io.ErrUnexpectedEOF, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A reader that would go on for ever shows that nothing is read past a bad prefix.
			f := &frameReader{src: bytes.NewReader(c.in), max: limit}
			size, err := f.prefix()
			if !errors.Is(err, c.want) || size != c.size {
				t.Errorf("prefix % x: %d, %v; want %d, %v", c.in, size, err, c.size, c.want)
			}
		})
	}
}

func TestFramesInAnyPieces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var bodies [][]byte
	var stream []byte
	for _, size := range []int{0, 1, 45, headSize - 2, headSize - 1, headSize, 200, firstChunk - 1, firstChunk, firstChunk + 1, 2*firstChunk + 1, 100_000, 3, 300_000} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(rng.Uint32())
		}
		bodies = append(bodies, body)
		stream = append(stream, frameOf(body)...)
	}
	for name, src := range map[string]io.Reader{
		"whole":         bytes.NewReader(stream),
		"one byte each": iotest.OneByteReader(bytes.NewReader(stream)),
		"halves":        iotest.HalfReader(bytes.NewReader(stream)),
		"data and end":  iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			f := &frameReader{src: src, max: 1 << 20}
			for i, want := range bodies {
				got, err := readFrame(t, f)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("frame %d of %d bytes: got %d bytes, %v", i, len(want), len(got), err)
				}
			}
			if _, err := readFrame(t, f); err != io.EOF {
				t.Errorf("after the last frame: %v", err)
			}
		})
	}
}

func TestFramesCutShort(t *testing.T) {
	for _, size := range []int{1, 100, 1000, 100_000} {
		frame := frameOf(make([]byte, size))
		for _, cut := range []int{1, len(frame) / 2, len(frame) - 1} {
			f := &frameReader{src: bytes.NewReader(frame[:cut]), max: 1 << 20}
			if _, err := readFrame(t, f); err != io.ErrUnexpectedEOF {
				t.Errorf("%d of %d bytes: %v", cut, len(frame), err)
			}
		}
	}
}

// stuck delivers what it has and then waits for nothing.
type stuck struct{ io.Reader }

func (s stuck) Read(b []byte) (int, error) {
	n, _ := s.Reader.Read(b)
	return n, nil
}

func TestReaderThatDeliversNothing(t *testing.T) {
	f := &frameReader{src: stuck{bytes.NewReader(nil)}, max: 1 << 20}
	if _, err := f.prefix(); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
}

func TestBufferOnlyForWhatArrives(t *testing.T) {
	announced := append(varint.ToUvarint(4<<20), make([]byte, 40_000)...)
	f := &frameReader{src: bytes.NewReader(announced), max: 4 << 20}
	largest := 0
	size, err := f.prefix()
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.body(size, func(filled []byte, to int) ([]byte, error) {
		largest = max(largest, to)
		return append(make([]byte, 0, to), filled...)[:to], nil
	})
	if err != io.ErrUnexpectedEOF || largest != 16*firstChunk {
		t.Errorf("4 MiB announced, 40000 bytes sent: buffer of %d, %v", largest, err)
	}
}

func TestGrowRefused(t *testing.T) {
	refused := errors.New("refused")
	f := &frameReader{src: bytes.NewReader(frameOf(make([]byte, 100_000))), max: 4 << 20}
	size, _ := f.prefix()
	buf, err := f.body(size, func(filled []byte, to int) ([]byte, error) {
		if to > 2*firstChunk {
			return filled, refused
		}
		return append(make([]byte, 0, to), filled...)[:to], nil
	})
	if err != refused || len(buf) != 2*firstChunk {
		t.Errorf("got a buffer of %d bytes, %v", len(buf), err)
	}
}

func TestWriteFrameIsOneWrite(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 20_000, maxPooled, 1 << 20} {
		var w countingWriter
		body := bytes.Repeat([]byte{7}, size)
		if err := writeFrame(&w, body); err != nil {
			t.Fatal(err)
		}
		if w.writes != 1 || !bytes.Equal(w.Bytes(), frameOf(body)) {
			t.Errorf("%d bytes: %d writes, %d bytes written", size, w.writes, w.Len())
		}
	}
}

type countingWriter struct {
	bytes.Buffer
	writes int
}

func (w *countingWriter) Write(b []byte) (int, error) {
	w.writes++
	return w.Buffer.Write(b)
}

// FuzzFrame compares the reader with a plain one, and bounds what it allocates.
func FuzzFrame(f *testing.F) {
	f.Add(frameOf([]byte("hello")), uint8(0))
	f.Add(append(frameOf(make([]byte, 300)), frameOf(nil)...), uint8(3))
	f.Add([]byte{0x80, 0x00}, uint8(1))
	f.Add(varint.ToUvarint(1<<32), uint8(1))
	f.Add(append(varint.ToUvarint(40_000), make([]byte, 17_000)...), uint8(200))
	f.Add(bytes.Repeat([]byte{0xff}, 12), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		const limit = 64 << 10
		var src io.Reader = bytes.NewReader(in)
		if piece > 0 {
			src = &pieces{src: src, size: int(piece)}
		}
		fr := &frameReader{src: src, max: limit}
		plain := bufio.NewReader(bytes.NewReader(in))
		for {
			got, err := readFrame(t, fr)
			want, wantErr := plainFrame(plain, limit)
			if (err == nil) != (wantErr == nil) || (err == io.EOF) != (wantErr == io.EOF) {
				t.Fatalf("got %v, a plain reader %v", err, wantErr)
			}
			if err != nil {
				return
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("got % x, a plain reader % x", got, want)
			}
		}
	})
}

// plainFrame reads a frame in the most obvious way.
func plainFrame(r *bufio.Reader, limit uint64) ([]byte, error) {
	n, err := varint.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, ErrFrameTooLarge
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return body, nil
}

// pieces delivers no more than size bytes at a time.
type pieces struct {
	src  io.Reader
	size int
}

func (p *pieces) Read(b []byte) (int, error) { return p.src.Read(b[:min(len(b), p.size)]) }
