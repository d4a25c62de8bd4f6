package providerlog

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a disk that gives what a log held only when it is told to.
type slow struct {
	*memDisk
	give chan struct{}
}

type slowFile struct {
	file
	give chan struct{}
}

func (d slow) Open(path string) (file, error) {
	f, err := d.memDisk.Open(path)
	return slowFile{f, d.give}, err
}

func (f slowFile) ReadAt(b []byte, off int64) (int, error) {
	if off > 0 { // behind the header and what the clock is read from
		<-f.give
	}
	return f.file.ReadAt(b, off)
}

// TestUsedWhileLoading uses a store of which most is not read yet: what is said meanwhile
// holds against what the log says, in this run and in the next.
func TestUsedWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20_000 // more than a chunk of the file
		d := newMemDisk()
		s := opened(t, d, Config{})
		for i := range n {
			announce(t, s, epoch, i, i%100)
		}
		closed(t, s)
		s = opened(t, d, Config{}) // the newest segment, which tells the time, is short
		announce(t, s, epoch.Add(time.Minute), n, 1)
		closed(t, s)

		now := epoch.Add(time.Hour)
		lazy := slow{d, make(chan struct{})}
		s, err := Open("log", Config{disk: lazy})
		if err != nil {
			t.Fatal(err)
		}
		last := n - 1
		if st := s.Stats(); !st.Loading || serves(t, s, now, last, last%100) {
			t.Fatalf("loaded at once: %+v", st)
		}
		announce(t, s, now, last, last%100)       // again
		announce(t, s, now, last-1, (last-2)%100) // one more for the key
		s.Remove(multihash(last-2), provider((last-2)%100).ID)
		s.Remove(multihash(last-3), provider((last-3)%100).ID)
		announce(t, s, now, last-3, (last-3)%100) // after all
		s.Advance(now)                            // deletes nothing that is not read
		close(lazy.give)
		<-s.Ready()
		for range 2 {
			if st := s.Stats(); st.Loading || st.Records != n+1 || st.Loaded.Damaged+st.Loaded.Lost > 0 {
				t.Errorf("%+v", st)
			}
			if told, _ := tells(t, s, now, last-2, (last-2)%100); told {
				t.Error("what was removed meanwhile is back")
			}
			for _, i := range []int{0, n / 2, last, last - 1, last - 3, n} {
				if !serves(t, s, now, i, max(i%100, i/n)) {
					t.Errorf("record %d is gone", i)
				}
			}
			if got := told(t, s, now, last-1); len(slices.Compact(got)) != 2 {
				t.Errorf("key %d has providers %v", last-1, got)
			}
			if later := epoch.Add(49 * time.Hour); s.index.Tick(now) >= s.index.Tick(later) {
				t.Error("time stands still")
			}
			closed(t, s)
			s = opened(t, d, Config{})
		}
		closed(t, s)
	})
}

// TestCloseWhileLoading closes a store that is still reading.
func TestCloseWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := opened(t, d, Config{})
		for i := range 20_000 {
			announce(t, s, epoch, i, 1)
		}
		closed(t, s)
		s = opened(t, d, Config{})
		announce(t, s, epoch, 1, 2)
		closed(t, s)
		lazy := slow{d, make(chan struct{})}
		s, err := Open("log", Config{disk: lazy})
		if err != nil {
			t.Fatal(err)
		}
		announce(t, s, epoch, 2, 2)
		go func() { time.Sleep(time.Second); close(lazy.give) }()
		closed(t, s)
		s = opened(t, d, Config{})
		defer closed(t, s)
		if st := s.Stats(); st.Records != 20_002 {
			t.Errorf("%d records", st.Records)
		}
	})
}
