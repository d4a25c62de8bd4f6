package providerlog

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

const (
	// blockSize is what a segment is cut into. No frame crosses the end of a block,
	// so that whatever is unreadable ends with its block.
	blockSize = 4 << 10
	// frameHead is a frame's checksum, 4 bytes, and the length of its payload, 2.
	frameHead = 6
)

// format is the version of the log that this code writes, and the latest it reads.
const format = 1

// headerSize is the length of a segment's header: the magic, the version and the
// checksum of both.
const headerSize = 16

const magic = "kdhtplog"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendHeader appends what every segment begins with.
func appendHeader(b []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, format)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseHeader returns the version a segment is written in, 0 if that cannot be
// read.
func parseHeader(b []byte) uint32 {
	if len(b) < headerSize || string(b[:len(magic)]) != magic ||
		crc32.Checksum(b[:12], castagnoli) != binary.LittleEndian.Uint32(b[12:]) {
		return 0
	}
	return binary.LittleEndian.Uint32(b[8:])
}

// checksum is of everything in a frame behind it.
func checksum(b []byte) uint32 { return crc32.Update(format, castagnoli, b) }

// appendFrame appends payload as a frame that begins at offset at of its segment,
// after zeros to the end of the block if it does not fit there. payload fits in a
// block: the longest is a provider with 128 bytes of id and 2 KiB of addresses.
func appendFrame(b []byte, at int64, payload []byte) []byte {
	if left := blockSize - int(at%blockSize); left < frameHead+len(payload) {
		b = append(b, zeros[:left]...)
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0, byte(len(payload)), byte(len(payload)>>8))
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[start:], checksum(b[start+4:]))
	return b
}

var zeros [blockSize]byte

// frameAt returns the length of the payload of the frame at the start of b, 0 if
// there is none that is whole.
func frameAt(b []byte) int {
	if len(b) < frameHead {
		return 0
	}
	n := int(binary.LittleEndian.Uint16(b[4:]))
	if n == 0 || frameHead+n > len(b) || checksum(b[4:frameHead+n]) != binary.LittleEndian.Uint32(b) {
		return 0
	}
	return n
}

// nextFrame returns where in a block the next frame begins, from p on, and the
// length of its payload. What cannot be read is skipped byte by byte: damaged
// tells that there was something. n is 0 if there is no further frame.
func nextFrame(block []byte, p int) (at, n int, damaged bool) {
	if n := frameAt(block[p:]); n > 0 {
		return p, n, false
	}
	rest := block[p:]
	if bytes.Equal(rest, zeros[:len(rest)]) {
		return len(block), 0, false
	}
	for p++; p < len(block); p++ {
		if n := frameAt(block[p:]); n > 0 {
			return p, n, true
		}
	}
	return len(block), 0, true
}
