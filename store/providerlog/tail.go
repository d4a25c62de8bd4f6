package providerlog

import (
	"slices"
	"sync"

	"github.com/kdht/kdht/store"
)

// tail is the end of the log: what is appended in memory before it is written, and
// the list of segments. Appending never waits for the disk: when maxPending bytes
// wait for it, what comes is left out and counted.
type tail struct {
	limits limits
	kick   chan struct{} // something is to be written

	mu      sync.Mutex // guards all below, and every segment's numbers
	sealed  []*segment // oldest first
	active  *segment   // the newest, nil before the first append
	names   names      // of the active segment
	seq     uint64     // of the newest segment there ever was
	mark    mark       // the latest
	pending []batch    // in order
	waiting int        // bytes in them and in those being written
	room    buffers

	reading bool  // the sealed segments, for the index or to compact them: none is deleted else
	base    int64 // size of the log after the last compaction

	appended, unlogged uint64 // announcements and removals
}

// buffers are used again and again.
type buffers struct {
	scratch []byte // for a payload
	spare   []byte // of a batch that is written
}

// limits of a tail.
type limits struct {
	segment int64  // bytes, beyond which it is closed
	span    uint32 // of a segment, in seconds
	pending int    // bytes, beyond which nothing is appended
	roomy   int64  // bytes of a log that is never compacted
}

// batch is what is to be written to a segment at an offset.
type batch struct {
	to   *segment
	at   int64
	data []byte
}

// batchSize is how much room a batch has at first, maxSpare how much one may have
// that is used again.
const (
	batchSize = 64 << 10
	maxSpare  = 16 * batchSize
)

// add appends an announcement.
func (l *tail) add(a *store.Announced, key []byte, told bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.admit(a.At) {
		return
	}
	number, tell := l.names.number(a.Peer)
	if tell {
		l.frame(appendProvider(l.room.scratch[:0], number, a.Seen, a.Peer))
	}
	rec := add{number: number, added: a.At, first: a.First, told: told, key: key}
	l.frame(rec.append(l.room.scratch[:0]))
}

// remove appends that the peer with this id no longer serves key.
func (l *tail) remove(at uint32, key, id []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.admit(at) {
		l.frame(appendRemove(l.room.scratch[:0], at, key, id))
	}
}

// setMark appends what time it is.
func (l *tail) setMark(m mark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.tick < l.mark.tick {
		return
	}
	l.mark = m
	if (l.active != nil || len(l.sealed) > 0) && l.waiting < l.limits.pending {
		l.begin(m.tick)
		l.frame(m.append(l.room.scratch[:0]))
	}
}

// admit counts a record of tick t and prepares for it if there is room.
func (l *tail) admit(t uint32) bool {
	if l.waiting >= l.limits.pending {
		l.unlogged++
		return false
	}
	l.appended++
	l.begin(t)
	return true
}

// begin makes sure that there is a segment for what is said at tick t.
func (l *tail) begin(t uint32) {
	if s := l.active; s != nil && (s.size >= l.limits.segment || s.size > headerSize && t-s.first > l.limits.span && t > s.first) {
		l.seal()
	}
	if l.active == nil {
		l.seq++
		l.active = &segment{name: segmentName{seq: l.seq}}
		l.names = make(names)
		l.put(appendHeader(l.room.scratch[:0]))
		l.frame(l.mark.append(l.room.scratch[:0]))
	}
	l.active.reach(t)
}

// seal ends the active segment.
func (l *tail) seal() {
	l.sealed = append(l.sealed, l.active)
	l.active, l.names = nil, nil
}

// frame appends payload to the active segment. It may use l.room.scratch.
func (l *tail) frame(payload []byte) {
	l.room.scratch = payload[:0]
	b := l.batch()
	before := len(b.data)
	b.data = appendFrame(b.data, l.active.size, payload)
	l.grown(len(b.data) - before)
}

func (l *tail) put(raw []byte) {
	b := l.batch()
	b.data = append(b.data, raw...)
	l.grown(len(raw))
}

func (l *tail) grown(n int) {
	l.active.size += int64(n)
	l.waiting += n
}

// batch returns the one that the active segment's next bytes belong to.
func (l *tail) batch() *batch {
	n := len(l.pending)
	if n == 0 {
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
	if n == 0 || l.pending[n-1].to != l.active {
		l.pending = append(l.pending, batch{to: l.active, at: l.active.size, data: l.room.batch()})
		n++
	}
	return &l.pending[n-1]
}

// batch returns an empty buffer for a batch.
func (r *buffers) batch() []byte {
	b := r.spare
	r.spare = nil
	if b == nil {
		b = make([]byte, 0, batchSize)
	}
	return b
}

// take returns all that is to be written. It still counts as waiting.
func (l *tail) take() []batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pending
	l.pending = nil
	return p
}

// done tells that b is written.
func (l *tail) done(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting -= len(b.data)
	b.to.written = b.at + int64(len(b.data))
	if cap(b.data) <= maxSpare {
		l.room.spare = b.data[:0]
	}
}

// putBack returns what could not be written.
func (l *tail) putBack(rest []batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(rest, l.pending...)
}

// lastMark returns the latest mark.
func (l *tail) lastMark() mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mark
}

// file returns the file that s is written to, nil if there is none yet.
func (l *tail) file(s *segment) file {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.f
}

func (l *tail) setFile(s *segment, f file) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.f = f
}

// unsynced is a segment as it stood when a sync began.
type unsynced struct {
	of       *segment
	f        file
	upTo     int64
	named    bool
	complete bool // nothing more will be written to it
}

// unsynced returns the segments of which something is written but not safe.
func (l *tail) unsynced() (all []unsynced) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments() {
		if s.f != nil {
			complete := s != l.active && s.written == s.size
			if complete || s.synced < s.written {
				all = append(all, unsynced{of: s, f: s.f, upTo: s.written, named: s.named, complete: complete})
			}
		}
	}
	return all
}

// synced notes that u is safe and reports whether its file is no longer needed.
func (l *tail) synced(u unsynced) (done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u.of.synced, u.of.named = u.upTo, true
	if u.complete {
		u.of.f = nil
	}
	return u.complete
}

// segments returns all of them, oldest first. The caller holds l.mu.
func (l *tail) segments() []*segment {
	all := l.sealed[:len(l.sealed):len(l.sealed)]
	if l.active != nil {
		all = append(all, l.active)
	}
	return all
}

// files returns what is open.
func (l *tail) files() (open []file) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments() {
		if s.f != nil {
			open = append(open, s.f)
		}
	}
	return open
}

// oldAtOnce is how many segments are deleted at once: a file system may take ten
// milliseconds for each.
const oldAtOnce = 2

// takeOld removes and returns a few of the oldest segments whose records are all
// older than validity at t.
func (l *tail) takeOld(t, validity uint32) (old []*segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tooOld := func(s *segment) bool { return uint64(s.last)+uint64(validity) < uint64(t) }
	if l.active != nil && l.active.size > headerSize && tooOld(l.active) {
		l.seal()
	}
	n := 0
	for !l.reading && n < min(len(l.sealed), oldAtOnce) && l.sealed[n].f == nil && l.sealed[n].complete() && tooOld(l.sealed[n]) {
		n++
	}
	old = l.sealed[:n:n]
	l.sealed = l.sealed[n:]
	return old
}

// crowded returns the segments to compact, nil if the log is small enough. The
// caller says when it is done with them.
func (l *tail) crowded() []*segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.sealed) && l.sealed[n].f == nil && l.sealed[n].complete() {
		n++
	}
	if n == 0 || l.reading || l.total() <= l.limits.roomy+2*l.base {
		return nil
	}
	l.reading = true
	return slices.Clone(l.sealed[:n])
}

// compacted ends what crowded began. The log has to double before it is crowded
// again, whether that worked or not.
func (l *tail) compacted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = false
	l.base = l.total()
}

// loaded tells that all segments of earlier runs are read; what is still valid of them
// would take about base bytes.
func (l *tail) loaded(base int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading, l.base = false, base
}

func (l *tail) total() (n int64) {
	for _, s := range l.segments() {
		n += s.size
	}
	return n
}

// insert puts a segment at index at of those that are sealed.
func (l *tail) insert(at int, s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = slices.Insert(l.sealed, at, s)
}

// forget takes a segment that is deleted out of those that are sealed.
func (l *tail) forget(at int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = slices.Delete(l.sealed, at, at+1)
}
