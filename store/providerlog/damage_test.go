package providerlog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

// TestTornOnDisk cuts off the end of the newest of two segments, as a program that
// is killed may leave it: that is torn, not damaged. Real files.
func TestTornOnDisk(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		s, err := Open(dir, Config{})
		if err != nil {
			t.Fatal(err)
		}
		announce(t, s, epoch, 2*round, 1)
		announce(t, s, epoch, 2*round+1, 1)
		closed(t, s)
	}
	newest := filepath.Join(dir, segmentName{seq: 2}.String())
	b, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(newest, b[:len(b)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, s)
	if l := s.Stats().Loaded; l.Torn != 1 || l.Damaged != 0 || l.Records != 3 {
		t.Errorf("%+v, want 3 records and one torn place", l)
	}
}

// spotted is a disk of whose files one block cannot be read.
type spotted struct {
	*memDisk
	block int64
}

type spottedFile struct {
	file
	block int64
}

var errUnreadable = errors.New("input/output error")

func (d spotted) Open(path string) (file, error) {
	f, err := d.memDisk.Open(path)
	return spottedFile{f, d.block}, err
}

func (f spottedFile) ReadAt(b []byte, off int64) (int, error) {
	if off < (f.block+1)*blockSize && off+int64(len(b)) > f.block*blockSize {
		return 0, errUnreadable
	}
	return f.file.ReadAt(b, off)
}

// TestUnreadableBlock opens a log of which one block cannot be read, the first, the
// last or any: the records of that block are gone, no others.
func TestUnreadableBlock(t *testing.T) {
	const records = 20_000
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := opened(t, d, Config{})
		for i := range records {
			announce(t, s, epoch, i, i%150)
		}
		closed(t, s)
		last := int64(len(theFile(d).now)-1) / blockSize
		for _, block := range []int64{0, 1, 63, 64, 65, last - 1, last} {
			s := opened(t, spotted{d, block}, Config{})
			lost := 0
			for i := range records {
				if !serves(t, s, epoch, i, i%150) {
					lost++
				}
			}
			st := s.Stats()
			if lost == 0 || lost > blockSize/40 || st.Records != records-lost || st.Loaded.Damaged+st.Loaded.Torn == 0 {
				t.Errorf("block %d of %d: %d records lost, %+v", block, last, lost, st)
			}
			closed(t, s)
		}
	})
}

// shy is a disk that opens one of its files once.
type shy struct {
	*memDisk
	file   string
	opened *bool
}

func (d shy) Open(path string) (file, error) {
	if filepath.Base(path) == d.file {
		if *d.opened {
			return nil, errUnreadable
		}
		*d.opened = true
	}
	return d.memDisk.Open(path)
}

// TestSegmentNotOpened opens a log of which one segment can be looked at, but not be read:
// it is counted, and is there for a later run that can.
func TestSegmentNotOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		for i := range 2 {
			s := opened(t, d, Config{})
			announce(t, s, epoch, i, 1)
			closed(t, s)
		}
		s := opened(t, shy{d, segmentName{seq: 1}.String(), new(bool)}, Config{})
		s.Advance(epoch)
		if st := s.Stats(); st.Records != 1 || st.Loaded.Damaged != 1 || st.WriteErrors != 1 {
			t.Errorf("%+v", st)
		}
		closed(t, s)
		s = opened(t, d, Config{})
		defer closed(t, s)
		if st := s.Stats(); st.Records != 2 {
			t.Errorf("a run later: %+v", st)
		}
	})
}
