package providerlog

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// cutAt makes a store's segments this long, however old what they hold is.
func cutAt(s *Store, size int64) *Store {
	s.tail.mu.Lock()
	defer s.tail.mu.Unlock()
	s.tail.limits.segment, s.tail.limits.span = size, 1<<30
	return s
}

// compact makes a pass over a log whose keeper has nothing to do. The next one is due
// when the log is three times as large.
func compact(s *Store) error {
	before := s.Stats()
	s.tail.mu.Lock()
	s.tail.limits.roomy = -1 << 40
	s.tail.mu.Unlock()
	for c := s.crowded(); c != nil && c.step(); {
	}
	s.tail.mu.Lock()
	s.tail.limits.roomy = 0
	s.tail.mu.Unlock()
	if st := s.Stats(); st.Compactions == before.Compactions {
		return errors.New(st.LastError)
	}
	return nil
}

// choosy is a disk that deletes all but one file.
type choosy struct {
	*memDisk
	keep string
}

func (d choosy) Remove(path string) error {
	if filepath.Base(path) == d.keep {
		return errors.New("not now")
	}
	return d.memDisk.Remove(path)
}

// TestCompactionEndsHalfway crashes after a compaction has deleted the first of two
// segments that it made one of, then compacts again, in which the second makes a
// segment by itself: nothing is lost.
func TestCompactionEndsHalfway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		second := segmentName{seq: 2}
		s := opened(t, choosy{d, second.String()}, Config{})
		for i := range 10 {
			announce(t, s, epoch, i, 1)
		}
		closed(t, s)
		s = opened(t, choosy{d, second.String()}, Config{})
		for i := range 100 {
			announce(t, s, epoch, 10+i, 1)
		}
		closed(t, s)
		s = cutAt(opened(t, choosy{d, second.String()}, Config{}), 2000)
		if err := compact(s); err == nil || d.names["log/"+second.String()] == nil || len(d.names) != 2 {
			t.Fatalf("%v, %d files", err, len(d.names))
		}
		crashed := d.crash(rand.New(rand.NewPCG(0, 0)))
		closed(t, s)

		s = cutAt(opened(t, crashed, Config{}), 2000)
		if err := compact(s); err != nil {
			t.Fatal(err)
		}
		closed(t, s)
		s = opened(t, crashed, Config{})
		defer closed(t, s)
		for i := range 110 {
			if !serves(t, s, epoch, i, 1) {
				t.Fatalf("record %d is gone: %+v", i, s.Stats())
			}
		}
	})
}

// TestRefusedCompaction lets the disk refuse everything from some step of a
// compaction on: all that is held is on it at once and after the next pass, what was
// removed is not, and nothing is tried more than once a second.
func TestRefusedCompaction(t *testing.T) {
	const most = 100
	for grace := range most {
		refused := false
		synctest.Test(t, func(t *testing.T) {
			refused = refusedCompaction(t, grace, func() { time.Sleep(time.Minute) })
		})
		if !refused {
			if grace < 10 {
				t.Errorf("a compaction of %d steps", grace)
			}
			return
		}
	}
	t.Errorf("after %d steps, still refused", most)
}

// refusedCompaction reports whether there was a step for the disk to refuse after
// those of grace. It lets a minute pass once.
func refusedCompaction(t *testing.T, grace int, minute func()) (refused bool) {
	const keys, gone = 30, 30
	d, now := newMemDisk(), epoch
	s := cutAt(opened(t, d, Config{}), 3000)
	for i := range 200 {
		now = now.Add(12 * time.Minute)
		announce(t, s, now, i%keys, 1)
		switch i {
		case 10:
			announce(t, s, now, gone, 1)
		case 100:
			s.Remove(multihash(gone), provider(1).ID)
		}
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	d.set(func() { d.refuse, d.grace = errNoRoom, grace })
	if err := compact(s); err != nil {
		refused = true
		if s.crowded() != nil {
			t.Errorf("refused at step %d: tried again at once", grace)
		}
		checkHeld(t, d.crash(rand.New(rand.NewPCG(uint64(grace), 0))), now, grace, keys, gone)
	}
	before := s.Stats().WriteErrors
	announce(t, s, now, keys-1, 2)
	minute()
	if tries := s.Stats().WriteErrors - before; tries < 50 || tries > 61 {
		t.Errorf("refused at step %d: %d tries in a minute", grace, tries)
	}
	d.set(func() { d.refuse = nil })
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if err := compact(s); err != nil {
		t.Errorf("refused at step %d, the next pass: %v", grace, err)
	}
	closed(t, s)
	checkHeld(t, d, now, grace, keys, gone)
	return refused
}

// checkHeld opens what is on a disk: the first provider of each key is there, of the
// key gone it is not.
func checkHeld(t *testing.T, d *memDisk, now time.Time, grace, keys, gone int) {
	t.Helper()
	s := opened(t, d, Config{})
	defer closed(t, s)
	for i := range keys {
		if !serves(t, s, now, i, 1) {
			t.Errorf("refused at step %d: record %d is gone", grace, i)
		}
	}
	if told, _ := tells(t, s, now, gone, 1); told {
		t.Errorf("refused at step %d: what was removed is back", grace)
	}
}
