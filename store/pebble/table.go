package pebble

import (
	"context"
	"encoding/binary"
	"io"

	lsm "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kdht/kdht/protocol/keyspace"
)

const (
	// blockTrailer is what follows a block of a table: a type and a checksum.
	blockTrailer = 5
	// maxTable bounds a table that is read as a whole; maxBlock a block whose length is
	// not known, and nextBlock one that is looked for behind a damaged one.
	maxTable  = 64 << 20
	maxBlock  = 1 << 20
	nextBlock = 8 << 10
)

// readTable takes over the records of a table, block by block, but those of blocks that are
// damaged. Our tables are neither compressed nor of columns (see options), so that a block
// is read without what else the table says.
func (w *wreck) readTable(name string) error {
	disk := w.kv.place.fs
	f, err := disk.Open(disk.PathJoin(w.dir, name))
	if err != nil {
		w.kv.stats.lostFiles.Add(1)
		return nil
	}
	table, err := io.ReadAll(io.LimitReader(f, maxTable))
	layout, known := readLayout(f)
	if err != nil || len(table) == 0 {
		w.kv.stats.lostFiles.Add(1)
	}
	visit := func(block []byte) error { return readBlock(block, w.takeRaw) }
	if !known {
		return w.searchBlocks(table, visit)
	}
	for _, h := range layout.Data {
		end := h.Offset + h.Length + blockTrailer
		if end > uint64(len(table)) || !soundBlock(table[h.Offset:end]) {
			w.kv.stats.lostBlocks.Add(1)
			continue
		}
		if err := visit(table[h.Offset : end-blockTrailer]); err != nil {
			return err
		}
	}
	return nil
}

// readLayout returns where the blocks of a table are, unless that part of it is damaged. It
// closes f.
func readLayout(f vfs.File) (*sstable.Layout, bool) {
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		_ = f.Close()
		return nil, false
	}
	r, err := sstable.NewReader(context.Background(), readable, (&lsm.Options{}).MakeReaderOptions())
	if err != nil {
		return nil, false // which closed f
	}
	defer r.Close() //nolint:errcheck // only read
	layout, err := r.Layout()
	return layout, err == nil
}

func soundBlock(b []byte) bool {
	sum := len(b) - 4
	return binary.LittleEndian.Uint32(b[sum:]) == masked(b[:sum])
}

// searchBlocks visits the blocks of a table whose layout is lost: each begins where the one
// before ends, and ends where its checksum does. Behind a damaged one the next is looked
// for wherever one can begin.
func (w *wreck) searchBlocks(table []byte, visit func(block []byte) error) error {
	w.kv.stats.lostBlocks.Add(1)
	lost := false
	for at, limit := 0, maxBlock; at < len(table); {
		n := blockLen(table[at:min(at+limit, len(table))])
		if n == 0 {
			at, limit = at+1, nextBlock
			if !lost {
				lost = true
				w.kv.stats.lostBlocks.Add(1)
			}
			continue
		}
		if err := visit(table[at : at+n]); err != nil {
			return err
		}
		at, limit, lost = at+n+blockTrailer, maxBlock, false
	}
	return nil
}

// blockLen returns the length of the block that b begins with, 0 if it does not. A block
// begins with an entry that shares nothing and has a key of ours.
func blockLen(b []byte) int {
	if len(b) < 2 || b[0] != 0 {
		return 0
	}
	if key := int(b[1]) - 8; key != keyLen && key != filedLen && key != len(metaKey) {
		return 0
	}
	sum := ^uint32(0)
	for n := 0; n+blockTrailer <= len(b); n++ {
		sum = castagnoli[byte(sum)^b[n]] ^ sum>>8
		// b[n] is taken for the block's type, which the checksum covers: 0, as it is.
		if b[n] == 0 && n > 0 && binary.LittleEndian.Uint32(b[n+1:]) == mask(^sum) {
			return n
		}
	}
	return 0
}

// readBlock calls fn for every entry of a block: the length of what its key shares with the
// one before, of the rest and of the value, as varints, then these. A list of offsets into
// the block, each of 4 bytes, and its length end it.
func readBlock(b []byte, fn func(key, value []byte) error) error {
	if len(b) < 4 {
		return nil
	}
	offsets := uint64(binary.LittleEndian.Uint32(b[len(b)-4:]))
	if offsets >= uint64(len(b))/4 {
		return nil
	}
	b = b[:uint64(len(b))-4-offsets*4]
	var key []byte
	for len(b) > 0 {
		var head [3]uint64 // shared, rest, value
		for i := range head {
			n, used := binary.Uvarint(b)
			if used <= 0 {
				return nil
			}
			head[i], b = n, b[used:]
		}
		if head[0] > uint64(len(key)) || head[1] > uint64(len(b)) || head[2] > uint64(len(b))-head[1] {
			return nil
		}
		key = append(key[:head[0]], b[:head[1]]...)
		value := b[head[1] : head[1]+head[2]]
		b = b[head[1]+head[2]:]
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

// takeRaw adopts what an entry of a table holds, if that is a record: its key ends with 8
// bytes that say when it was written, and what it is.
func (w *wreck) takeRaw(raw, value []byte) error {
	if len(raw) != keyLen+8 || raw[0] != prefixRecord {
		return nil
	}
	kind := lsm.InternalKeyKind(raw[keyLen])
	key := keyspace.Key(raw[1:keyLen])
	if _, known := w.log[key]; known || kind != lsm.InternalKeyKindSet && kind != lsm.InternalKeyKindSetWithDelete {
		return nil
	}
	r, err := parseRecord(&key, value)
	if err != nil && len(value) > 0 {
		r, err = parseRecord(&key, value[1:]) // some forms of table mark values
	}
	if err != nil {
		w.kv.stats.lostBlocks.Add(1)
		return nil
	}
	r.value = append([]byte(nil), r.value...)
	return w.take(key, r)
}
