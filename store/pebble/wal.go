package pebble

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kdht/kdht/protocol/keyspace"
)

// The form of the database's log, as its package record describes it: blocks of 32 KiB,
// of chunks that do not cross them. A chunk is a masked CRC-32C of what follows but for
// its length, the length in 2 bytes, a type, the number of the log in 4 bytes and, in
// the later form, an offset in 8; then its part of a batch of changes.
const (
	logBlock      = 32 << 10
	chunkHead     = 11
	chunkHeadSync = 19
	// The first of the four types of either form; full, first, middle and last follow.
	chunkRecyclable = 5
	chunkSync       = 9
	// maxLog bounds what is read of a log: what a memtable can hold and then some.
	maxLog = 256 << 20
)

// logNames returns the names of a database's logs, the oldest first.
func logNames(disk vfs.FS, dir string) ([]string, error) {
	names, err := disk.List(dir)
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".log") })
	slices.Sort(names)
	return names, err
}

// scanLogs reads the batches of all logs of a database, as scanLog does.
func scanLogs(disk vfs.FS, dir string, batch func(b []byte)) (gaps int) {
	names, _ := logNames(disk, dir)
	for _, name := range names {
		gaps += scanLog(disk, dir, name, batch)
	}
	return gaps
}

// scanLog reads the batches of a log, past what is damaged, and returns in how many places
// it is: what could not be read at its end may never have been written.
func scanLog(disk vfs.FS, dir, name string, batch func(b []byte)) (gaps int) {
	number, err := strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 32)
	if err != nil {
		return 0
	}
	f, err := disk.Open(disk.PathJoin(dir, name))
	if err != nil {
		return 1
	}
	defer f.Close() //nolint:errcheck // only read
	s := logScan{number: uint32(number), batch: batch}
	block := make([]byte, logBlock)
	for read := 0; read < maxLog; read += logBlock {
		n, err := io.ReadFull(f, block)
		if n > 0 {
			s.block(block[:n])
		}
		if err != nil {
			break
		}
	}
	return s.gaps
}

// logScan puts batches together from the blocks of a log.
type logScan struct {
	number uint32
	batch  func(b []byte)

	part []byte // of a batch whose end has not come
	open bool   // there is a part
	lost int    // places that could not be read
	gaps int    // of these, how many before something that could
}

// block reads one block. A chunk that is damaged costs its batch; one whose length is
// damaged too, the rest of the block.
func (s *logScan) block(b []byte) {
	damaged := false
	for len(b) >= chunkHead {
		kind, length := b[6], int(binary.LittleEndian.Uint16(b[4:]))
		head := chunkHead
		if kind >= chunkSync {
			head = chunkHeadSync
		}
		blank := kind == 0 && length == 0
		if blank || kind < chunkRecyclable || kind >= chunkSync+4 || head+length > len(b) {
			if damaged = damaged || !blank; damaged {
				s.lost++
				s.open = false
			}
			return
		}
		chunk := b[:head+length]
		b = b[head+length:]
		if binary.LittleEndian.Uint32(chunk) != masked(chunk[6:]) {
			damaged, s.open = true, false
			continue
		}
		if damaged {
			damaged = false
			s.lost++
		}
		if binary.LittleEndian.Uint32(chunk[7:]) == s.number {
			s.gaps = s.lost
			s.chunk((kind-chunkRecyclable)%4, chunk[head:])
		}
	}
}

// chunk adds a part of a batch: 0 is all of it, then first, middle, last.
func (s *logScan) chunk(position byte, b []byte) {
	switch position {
	case 0:
		s.open = false
		s.batch(b)
	case 1:
		s.part, s.open = append(s.part[:0], b...), true
	default:
		if !s.open {
			return
		}
		if s.part = append(s.part, b...); position == 3 {
			s.open = false
			s.batch(s.part)
		}
	}
}

// masked is the checksum of the database's files.
func masked(b []byte) uint32 { return mask(crc32.Checksum(b, castagnoli)) }

func mask(c uint32) uint32 { return c>>15 | c<<17 + 0xa282ead8 }

// replay notes what a batch changed unless the tables hold it, which its totals tell.
func (w *wreck) replay(b []byte, flushed uint64) {
	var t totals
	changed := make(map[keyspace.Key]*record)
	for r := batchrepr.Read(b); ; {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			break
		}
		switch {
		case string(key) == string(metaKey):
			if t, err = parseTotals(value); err != nil {
				return
			}
		case len(key) != keyLen || key[0] != prefixRecord:
		case kind == lsm.InternalKeyKindDelete:
			changed[keyspace.Key(key[1:])] = nil
		case kind == lsm.InternalKeyKindSet:
			k := keyspace.Key(key[1:])
			if r, err := parseRecord(&k, value); err == nil {
				r.value = append([]byte(nil), r.value...)
				changed[k] = &r
			}
		}
	}
	if t.batch <= flushed {
		return
	}
	if t.batch > w.totals.batch {
		w.totals = t
	}
	maps.Copy(w.log, changed)
}
