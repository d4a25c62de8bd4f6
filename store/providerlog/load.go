package providerlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kdht/kdht/store"
)

// ErrNewer means that a later version wrote the log.
var ErrNewer = errors.New("providerlog: written by a newer version")

// headStart is how long Open waits for the log to be read: a million records are there
// when it returns, of ten million the rest comes while the store is used already.
const headStart = time.Second

// Loaded tells what was found when the log was opened.
type Loaded struct {
	// Records is how many are held after it was read.
	Records int
	// Logged is how many announcements the log held, repeated and outdated ones
	// with the others.
	Logged int
	// Damaged is how many places could not be read, Lost how many records are gone
	// because of that as far as can be told. The end of the newest segment, where a
	// program was killed, counts as Torn instead.
	Damaged, Lost, Torn int
}

// loading is the log of earlier runs being read into the index, oldest segment first,
// while the store is used: what is announced meanwhile is newer than all of it.
type loading struct {
	done chan struct{} // closed when all is read
	// removed is when the peer with an id was said, meanwhile, to no longer serve a key:
	// what is read of that from then on is left out. Guarded by the store's order.
	removed map[served]uint32

	mu    sync.Mutex // guards found
	found Loaded
}

type served struct{ key, id string }

// survey finds the segments of the directory, makes them part of the log and learns what
// time it was when the last run ended. What cannot be opened at all, and what a later
// version wrote, is an error.
func (s *Store) survey() error {
	names, err := s.disk.List(s.dir)
	if err != nil {
		return fmt.Errorf("providerlog: reading %s: %w: make it readable, or choose another directory", s.dir, err)
	}
	for _, name := range names {
		stem, partial := strings.CutSuffix(name, unfinished)
		n, ok := parseSegmentName(stem)
		switch {
		case !ok: // not ours, or the lock
		case partial:
			if err := s.disk.Remove(filepath.Join(s.dir, name)); err != nil {
				return fmt.Errorf("providerlog: %w: make %s writable, or choose another directory", err, s.dir)
			}
		default:
			seg, err := s.inspect(n)
			if err != nil {
				return fmt.Errorf("providerlog: %s: %w", n.in(s.dir), err)
			}
			s.tail.sealed = append(s.tail.sealed, seg)
			s.tail.seq = max(s.tail.seq, n.seq)
		}
	}
	for _, seg := range slices.Backward(s.tail.sealed) {
		if s.readClock(seg); s.tail.mark.tick > 0 {
			break
		}
	}
	return nil
}

// inspect returns a segment as it is on the disk, its records not read yet.
func (s *Store) inspect(n segmentName) (*segment, error) {
	f, err := s.disk.Open(n.in(s.dir))
	if err != nil {
		return nil, fmt.Errorf("%w: check the disk, or move the file away to go on without its records", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	if err := checkVersion(f); err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("%w: check the disk", err)
	}
	return &segment{name: n, size: size, written: size, synced: size, named: true}, nil
}

// checkVersion refuses a segment that this code cannot know. One whose header is
// damaged is read: what is in it has its own checksums.
func checkVersion(f file) error {
	var header [headerSize]byte
	n, _ := f.ReadAt(header[:], 0) // what cannot be read counts as damaged
	if v := parseHeader(header[:n]); v > format {
		return fmt.Errorf("%w: format %d, this program reads up to %d: run the version that wrote it, or move the directory away",
			ErrNewer, v, format)
	}
	return nil
}

// readClock learns the latest mark of a segment, and the latest tick of all that is said
// in it.
func (s *Store) readClock(seg *segment) {
	f, err := s.disk.Open(seg.name.in(s.dir))
	if err != nil {
		return // load counts that
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	sc, err := newScanner(f)
	for b, ok := sc.next(); err == nil && ok; b, ok = sc.next() {
		if t := tickOf(b); t > s.times.logged {
			s.times.logged = t
		}
		if b[0] == kindMark {
			if m, err := parseMark(b); err == nil && m.tick >= s.tail.mark.tick {
				s.tail.mark = m
			}
		}
	}
}

// load reads all segments into the index, unless Close ends it.
func (s *Store) load(segments []*segment) {
	defer close(s.loading.done)
	for i, seg := range segments {
		s.loadSegment(seg, i == len(segments)-1)
	}
	if s.closed.Load() {
		return
	}
	l := &s.loading
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found.Records = s.index.Len()
	s.tail.loaded(int64(l.found.Records) * recordSize)
}

// loadSegment reads one. What is damaged, or cannot be opened any more, is counted.
func (s *Store) loadSegment(seg *segment, newest bool) {
	if s.closed.Load() {
		return
	}
	found := Loaded{Damaged: 1}
	span := segment{}
	f, err := s.disk.Open(seg.name.in(s.dir))
	if err == nil {
		found, err = s.readSegment(f, &span, newest)
		_ = f.Close() // nothing was written through it
	}
	if err != nil {
		s.health.failed(&s.health.writeErrors, err)
		span.reach(s.times.logged) // perhaps a later run can read it: it is kept as long as any
	}
	s.tail.mu.Lock()
	seg.first, seg.last = span.first, span.last
	s.tail.mu.Unlock()
	l := &s.loading
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found.Logged += found.Logged
	l.found.Lost += found.Lost
	l.found.Damaged += found.Damaged
	l.found.Torn += found.Torn
}

// readSegment fills the index from f and widens span to what is said there.
func (s *Store) readSegment(f file, span *segment, newest bool) (found Loaded, err error) {
	sc, err := newScanner(f)
	if err != nil {
		return Loaded{Damaged: 1}, err
	}
	d := decoder{
		added: func(r *store.ProviderRecord) {
			found.Logged++
			span.reach(r.Added)
			s.restore(r)
		},
		removed: func(at uint32, key, id []byte) {
			span.reach(at)
			s.forget(at, key, id)
		},
		marked: func(mark) {},
	}
	d.all(sc)
	found.Lost, found.Damaged = d.lost, sc.damaged
	if newest && sc.torn {
		found.Damaged--
		found.Torn++
	}
	return found, nil
}

// restore takes over a record that was read. What was too old when the log ended would
// only keep up what is known of its provider; and when the store is closed, nobody waits
// for it any more.
func (s *Store) restore(r *store.ProviderRecord) {
	s.order.RLock()
	defer s.order.RUnlock()
	if uint64(r.Added)+uint64(s.times.validity) < uint64(s.times.logged) || s.closed.Load() {
		return
	}
	if len(s.loading.removed) > 0 {
		if at, found := s.loading.removed[served{string(r.Key), string(r.Peer.ID)}]; found && r.Added <= at {
			return
		}
	}
	s.index.Restore(*r)
}

// forget applies a removal to what was announced before it, not to what is meanwhile.
func (s *Store) forget(at uint32, key, id []byte) {
	s.order.Lock()
	defer s.order.Unlock()
	if r, found := s.index.Find(key, id); found && r.Added <= at {
		s.index.Remove(key, id)
	}
}

// Ready returns a channel that is closed when all records of earlier runs are there.
// Until then a key may be told fewer providers than it has; nothing else waits for it.
func (s *Store) Ready() <-chan struct{} { return s.loading.done }

// ready reports whether all is loaded.
func (s *Store) ready() bool {
	select {
	case <-s.loading.done:
		return true
	default:
		return false
	}
}
