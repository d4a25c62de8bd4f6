package store

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/kdht/kdht/protocol"
)

// storedVersion starts every stored record, so that a later form can be told
// from this one.
const storedVersion = 1

// errStored means that bytes of a KV are not a stored record.
var errStored = errors.New("not a stored record")

// appendStored appends the form in which a KV keeps rec, received at now: the
// version byte, the time of receipt in nanoseconds since 1970 as 8 bytes, key
// and unknown fields each after its length as a varint, and the value.
func appendStored(b []byte, now time.Time, rec *protocol.Record) []byte {
	b = append(b, storedVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(now.UnixNano()))
	b = binary.AppendUvarint(b, uint64(len(rec.Key)))
	b = append(b, rec.Key...)
	b = binary.AppendUvarint(b, uint64(len(rec.Unknown)))
	b = append(b, rec.Unknown...)
	return append(b, rec.Value...)
}

// parseStored reads what appendStored wrote. The record borrows from b and has
// no TimeReceived; received says when it came.
func parseStored(b []byte) (rec protocol.Record, received time.Time, err error) {
	if len(b) < 9 || b[0] != storedVersion {
		return rec, received, errStored
	}
	received = time.Unix(0, int64(binary.BigEndian.Uint64(b[1:9]))).UTC()
	b = b[9:]
	if rec.Key, b, err = cutBytes(b); err != nil {
		return protocol.Record{}, received, err
	}
	if rec.Unknown, b, err = cutBytes(b); err != nil {
		return protocol.Record{}, received, err
	}
	rec.Value = b
	return rec, received, nil
}

// cutBytes splits length-prefixed bytes off b; nil if there are none.
func cutBytes(b []byte) (field, rest []byte, err error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, errStored
	}
	b = b[used:]
	if n == 0 {
		return nil, b, nil
	}
	return b[:n:n], b[n:], nil
}
