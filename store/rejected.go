package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kdht/kdht/protocol"
)

const (
	// rejections is how many invalid records are remembered, 96 KiB of them once
	// there is one.
	rejections = 1 << 12
	// rejectedFor is how long: a record may become valid, as when the key that it is
	// signed with gets known.
	rejectedFor = 10 * time.Minute
	// invalidUnits is what an invalid record costs its sender besides its bytes, in
	// the units of protocol/rpc: a signature verified takes as long as forty
	// FIND_NODEs are handled, and what is sent over the wire half of that.
	invalidUnits = 20
)

// rejected remembers records that broke the rules of their namespaces, so that
// nobody makes us verify the same signature again and again (reliability.md T15).
// Two records may share a slot; the later one is remembered. The zero value
// remembers nothing. Safe for concurrent use.
type rejected struct {
	any atomic.Bool // spares everybody the hash as long as nobody sends nonsense

	mu    sync.Mutex
	slots []rejection // none or rejections
}

// rejection is one record. Half a SHA-256 is enough to find no other record for
// it, by chance or by work.
type rejection struct {
	sum   [16]byte
	until tick // 0: empty
}

// sumOf names a record by its key and value.
func sumOf(rec *protocol.Record) (sum [16]byte) {
	h := sha256.New()
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(rec.Key)))
	h.Write(length[:])
	h.Write(rec.Key)
	h.Write(rec.Value)
	var whole [sha256.Size]byte
	copy(sum[:], h.Sum(whole[:0]))
	return sum
}

func slotOf(sum *[16]byte) int { return int(binary.BigEndian.Uint16(sum[:])) % rejections }

// has reports whether rec was found invalid lately.
func (r *rejected) has(t tick, rec *protocol.Record) bool {
	if !r.any.Load() {
		return false
	}
	sum := sumOf(rec)
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &r.slots[slotOf(&sum)]
	return e.sum == sum && e.until >= t
}

// add remembers that rec is invalid.
func (r *rejected) add(t tick, rec *protocol.Record) {
	sum := sumOf(rec)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slots == nil {
		r.slots = make([]rejection, rejections)
		r.any.Store(true)
	}
	r.slots[slotOf(&sum)] = rejection{sum: sum, until: after(t, seconds(rejectedFor))}
}

// costlyError is a refusal that took work to find. Units says how much, in the
// units of protocol/rpc, which charges it to the sender.
type costlyError struct {
	error
	units float64
}

// Unwrap returns the refusal.
func (e *costlyError) Unwrap() error { return e.error }

// Units returns the work in cost units.
func (e *costlyError) Units() float64 { return e.units }

// errRejected is what is said of a record that was found invalid lately.
func errRejected(rec *protocol.Record) error {
	return fmt.Errorf("%w for key %s: the same value was refused less than %v ago: do not put it again", ErrInvalid, show(rec.Key), rejectedFor)
}
