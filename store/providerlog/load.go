package providerlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/kdht/kdht/store"
)

// ErrNewer means that a later version wrote the log.
var ErrNewer = errors.New("providerlog: written by a newer version")

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

// load reads all segments of the directory into the index.
func (s *Store) load() error {
	names, err := s.disk.List(s.dir)
	if err != nil {
		return fmt.Errorf("providerlog: reading %s: %w: make it readable, or choose another directory", s.dir, err)
	}
	var segments []segmentName
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
			segments = append(segments, n)
		}
	}
	for i, n := range segments {
		if err := s.loadSegment(n, i == len(segments)-1); err != nil {
			return fmt.Errorf("providerlog: %s: %w", n.in(s.dir), err)
		}
	}
	s.loaded.Records = s.index.Len()
	s.tail.base = int64(s.loaded.Records) * recordSize
	return nil
}

// loadSegment reads one. What is damaged is counted; a disk that does not even
// open the file is an error.
func (s *Store) loadSegment(n segmentName, newest bool) error {
	f, err := s.disk.Open(n.in(s.dir))
	if err != nil {
		return fmt.Errorf("%w: check the disk, or move the file away to go on without its records", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	if err := checkVersion(f); err != nil {
		return err
	}
	sc, err := newScanner(f)
	if err != nil {
		return fmt.Errorf("%w: check the disk", err)
	}
	seg := &segment{name: n, size: sc.size, written: sc.size, synced: sc.size, named: true}
	d := s.loader(seg)
	d.all(sc)
	s.loaded.Lost += d.lost
	if newest && sc.torn {
		sc.damaged--
		s.loaded.Torn++
	}
	s.loaded.Damaged += sc.damaged
	s.tail.sealed = append(s.tail.sealed, seg)
	s.tail.seq = max(s.tail.seq, n.seq)
	return nil
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

// loader returns the decoder that fills the index from seg.
func (s *Store) loader(seg *segment) *decoder {
	return &decoder{
		added: func(r *store.ProviderRecord) {
			s.loaded.Logged++
			seg.reach(r.Added)
			s.index.Restore(*r)
		},
		removed: func(at uint32, key, id []byte) {
			seg.reach(at)
			if r, found := s.index.Find(key, id); found && r.Added <= at {
				s.index.Remove(key, id)
			}
		},
		marked: func(m mark) {
			if m.tick >= s.tail.mark.tick {
				s.tail.mark = m
			}
		},
	}
}
