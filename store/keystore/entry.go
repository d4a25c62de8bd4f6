package keystore

import (
	"encoding/binary"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
)

// An entry as it is kept: the version, 1; flags, of which the lowest says due; the
// generation; when it was announced last in seconds since 1970, 0 for never, in 5 bytes;
// the key itself. The state of the sweep has version 2.
const (
	entryVersion = 1
	headSize     = 8
	flagDue      = 1
)

// entry is what is kept of one key.
type entry struct {
	hash       []byte
	last       int64 // Unix seconds, 0: never
	due        bool
	generation byte // of the Replace that named it last
}

func (e *entry) append(b []byte) []byte {
	at := b
	b = binary.BigEndian.AppendUint64(b, uint64(max(0, e.last))&(1<<40-1))
	b[len(at)], b[len(at)+1], b[len(at)+2] = entryVersion, byte(one(e.due))*flagDue, e.generation
	return append(b, e.hash...)
}

// parse reads an entry. What is damaged, or of a newer version, is none. The hash borrows
// from b.
func parse(place keyspace.Key, b []byte) (e entry, ok bool) {
	if len(b) <= headSize || len(b) > headSize+protocol.MaxProviderKey || b[0] != entryVersion {
		return e, false
	}
	e = entry{
		hash: b[headSize:], last: int64(binary.BigEndian.Uint64(b) & (1<<40 - 1)),
		due: b[1]&flagDue != 0, generation: b[2],
	}
	if keyspace.KeyOf(e.hash) != place {
		return entry{}, false
	}
	return e, true
}

// key is the entry for others.
func (e *entry) key(place keyspace.Key) Key {
	k := Key{Hash: append([]byte(nil), e.hash...), Place: place, Due: e.due}
	if e.last > 0 {
		k.Last = time.Unix(e.last, 0)
	}
	return k
}
