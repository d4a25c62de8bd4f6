package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/kdht/kdht/protocol/keyspace"
)

// Every key of the database begins with a byte that says what it is of.
const (
	prefixMeta   = 'm' // one key: the totals
	prefixRecord = 'r' // then 32 bytes, the place: so that a region is a range
	prefixFiled  = 't' // then 4 bytes, the tick, and the place: the order in which records age
)

const (
	// keyLen is the length of a record's key, filedLen that of a key of the order of age.
	keyLen   = 1 + len(keyspace.Key{})
	filedLen = 1 + 4 + len(keyspace.Key{})
	// headLen is what stands before a stored value: the form's version, a checksum
	// and the tick.
	headLen = 1 + 4 + 4
	// recordVersion starts every stored value, so that a later form can be told from
	// this one.
	recordVersion = 1
)

var metaKey = []byte{prefixMeta}

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged means that bytes of the disk are not what was written.
var errDamaged = errors.New("damaged")

// record is what the database holds for one key: the value and the tick at which
// it was filed, 0 if it does not age.
type record struct {
	at    uint32
	value []byte
}

// appendRecordKey appends the key under which key's record lies.
func appendRecordKey(b []byte, key *keyspace.Key) []byte {
	return append(append(b, prefixRecord), key[:]...)
}

// appendFiledKey appends the key that puts key's record into the order of age.
func appendFiledKey(b []byte, at uint32, key *keyspace.Key) []byte {
	return append(binary.BigEndian.AppendUint32(append(b, prefixFiled), at), key[:]...)
}

// appendRecord appends the stored form of r under key: version, checksum of all
// the rest and of the key, tick, value.
func appendRecord(b []byte, key *keyspace.Key, r record) []byte {
	b = append(b, recordVersion)
	sum := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, r.at)
	b = append(b, r.value...)
	binary.BigEndian.PutUint32(b[sum:], checksum(key, b[sum+4:]))
	return b
}

// parseRecord reads what appendRecord wrote under key. The value borrows from b.
func parseRecord(key *keyspace.Key, b []byte) (record, error) {
	if len(b) < headLen {
		return record{}, fmt.Errorf("%w: a record of %d bytes", errDamaged, len(b))
	}
	if b[0] != recordVersion || binary.BigEndian.Uint32(b[1:]) != checksum(key, b[5:]) {
		return record{}, fmt.Errorf("%w: the checksum of a record does not match", errDamaged)
	}
	return record{at: binary.BigEndian.Uint32(b[5:]), value: b[headLen:]}, nil
}

// checksum covers the key too, so that no value is ever read under another's.
func checksum(key *keyspace.Key, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(key[:], castagnoli), castagnoli, b)
}

// totals is what the database holds under metaKey: how much there is, and when it
// was last told the time. It is written with every change, in one batch, so that it
// is exact after a crash.
type totals struct {
	batch   uint64 // how many batches there were
	records int64
	bytes   int64
	moment  moment
}

const totalsVersion = 1

// appendTotals appends the stored form of t.
func appendTotals(b []byte, t *totals) []byte {
	start := len(b)
	b = append(b, totalsVersion, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, t.batch)
	b = binary.BigEndian.AppendUint64(b, uint64(t.records))
	b = binary.BigEndian.AppendUint64(b, uint64(t.bytes))
	b = binary.BigEndian.AppendUint32(b, t.moment.tick)
	b = binary.BigEndian.AppendUint64(b, uint64(t.moment.wall))
	b = binary.BigEndian.AppendUint64(b, uint64(t.moment.up))
	b = append(b, t.moment.boot...)
	binary.BigEndian.PutUint32(b[start+1:], crc32.Checksum(b[start+5:], castagnoli))
	return b
}

// parseTotals reads what appendTotals wrote.
func parseTotals(b []byte) (t totals, err error) {
	const fixed = 5 + 8 + 8 + 8 + 4 + 8 + 8
	if len(b) < fixed || b[0] != totalsVersion || binary.BigEndian.Uint32(b[1:]) != crc32.Checksum(b[5:], castagnoli) {
		return t, fmt.Errorf("%w: the totals", errDamaged)
	}
	t.batch = binary.BigEndian.Uint64(b[5:])
	t.records, t.bytes = int64(binary.BigEndian.Uint64(b[13:])), int64(binary.BigEndian.Uint64(b[21:]))
	t.moment = moment{
		tick: binary.BigEndian.Uint32(b[29:]),
		wall: int64(binary.BigEndian.Uint64(b[33:])), up: int64(binary.BigEndian.Uint64(b[41:])),
		boot: string(b[fixed:]),
	}
	return t, nil
}
