package protocol

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// ttlField is how many seconds a record is to be kept from when it is received on:
// rust-libp2p's field, which other peers pass on without reading it (wire.md §7).
const ttlField = 777

// TTL returns how long the sender of r wants it kept, 0 if it does not say. What is
// said more than once counts as it is said last.
func (r *Record) TTL() (ttl time.Duration) {
	eachField(r.Unknown, func(tag uint32, _, value []byte) {
		if seconds, n := protowire.ConsumeVarint(value); tag == ttlField<<3|uint32(protowire.VarintType) && n > 0 {
			ttl = time.Duration(min(seconds, math.MaxUint32)) * time.Second
		}
	})
	return ttl
}

// WithTTL returns r with the wish to be kept so long and no longer, in whole
// seconds rounded up; 0 or less takes the wish out. The fields of r are not changed.
func (r Record) WithTTL(ttl time.Duration) Record {
	kept := make([]byte, 0, len(r.Unknown)+8)
	eachField(r.Unknown, func(tag uint32, field, _ []byte) {
		if tag>>3 != ttlField {
			kept = append(kept, field...)
		}
	})
	if ttl > 0 {
		kept = protowire.AppendTag(kept, ttlField, protowire.VarintType)
		kept = protowire.AppendVarint(kept, uint64(min((int64(ttl)+int64(time.Second)-1)/int64(time.Second), math.MaxUint32)))
	}
	r.Unknown = kept
	if len(kept) == 0 {
		r.Unknown = nil
	}
	return r
}

// eachField calls f for every field in b, until one does not parse.
func eachField(b []byte, f func(tag uint32, field, value []byte)) {
	for len(b) > 0 {
		tag, n := consumeTag(b)
		if n < 0 {
			return
		}
		m := consumeValue(tag, b[n:])
		if m < 0 {
			return
		}
		f(tag, b[:n+m], b[n:n+m])
		b = b[n+m:]
	}
}
