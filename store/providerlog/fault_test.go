package providerlog

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kdht/kdht/store"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}

// TestFullDisk fills the disk: records are kept in memory and told, what waits is
// bounded, the disk is asked once a second, and when there is room again the log
// goes on.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := opened(t, d, Config{MaxPending: 100 << 10})
		announce(t, s, epoch, 0, 0)
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		d.set(func() { d.full, d.room = true, 10_000 })
		for i := range 5000 {
			announce(t, s, epoch, i, i%7)
		}
		if err := s.Sync(); !errors.Is(err, errNoRoom) || !strings.Contains(err.Error(), "kept in memory") {
			t.Errorf("sync on a full disk: %v", err)
		}
		before := s.Stats()
		time.Sleep(20 * time.Second)
		st := s.Stats()
		if tries := st.WriteErrors - before.WriteErrors; tries < 15 || tries > 21 {
			t.Errorf("%d tries in 20 s", tries)
		}
		if st.Pending > 110<<10 || st.Unlogged == 0 || st.Unlogged > 5000 || !strings.Contains(st.LastError, "no space") {
			t.Errorf("while the disk is full: %+v", st)
		}
		for i := range 5000 {
			if !serves(t, s, epoch, i, i%7) {
				t.Fatalf("record %d is not told", i)
			}
		}
		d.set(func() { d.full = false })
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		announce(t, s, epoch, 9999, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := opened(t, d, Config{})
		defer again.Close() //nolint:errcheck // memory
		got := again.Stats()
		if got.Loaded.Damaged > 0 || got.Records != int(5001-st.Unlogged) || !serves(t, again, epoch, 9999, 1) {
			t.Errorf("after the disk had room again: %+v, of which %d were unlogged", got, st.Unlogged)
		}
	})
}

func (d *memDisk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// TestReadOnlyDisk makes the disk read-only under an open log, which goes on in
// memory and says so when it is closed.
func TestReadOnlyDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		s := opened(t, d, Config{})
		announce(t, s, epoch, 1, 1)
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		readOnly := errors.New("read-only file system")
		d.set(func() { d.refuse = readOnly })
		announce(t, s, epoch, 2, 1)
		time.Sleep(10 * time.Second)
		s.Advance(epoch.Add(time.Hour))
		if !serves(t, s, epoch, 1, 1) || !serves(t, s, epoch, 2, 1) {
			t.Error("not told what is in memory")
		}
		start := time.Now()
		if err := s.Close(); !errors.Is(err, readOnly) {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("close took %v", took)
		}
		d.set(func() { d.refuse = nil })
		again := opened(t, d, Config{})
		defer again.Close() //nolint:errcheck // memory
		if !serves(t, again, epoch, 1, 1) {
			t.Error("what was synced is gone")
		}
	})
}

// stuck is a disk that stops answering.
type stuck struct {
	*memDisk
	until chan struct{}
}

type stuckFile struct {
	file
	until chan struct{}
}

func (d stuck) Create(path string) (file, error) {
	f, err := d.memDisk.Create(path)
	return stuckFile{f, d.until}, err
}

func (f stuckFile) Sync() error {
	<-f.until
	return f.file.Sync()
}

// TestStuckDisk: nothing waits for a disk that does not answer, and Close not for
// long.
func TestStuckDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stuck{newMemDisk(), make(chan struct{})}
		s := opened(t, d, Config{})
		start := time.Now()
		for i := range 1000 {
			announce(t, s, epoch, i, 1)
			time.Sleep(time.Millisecond)
		}
		if !serves(t, s, epoch, 999, 1) || time.Since(start) != time.Second {
			t.Errorf("1,000 announcements, a millisecond apart, took %v", time.Since(start))
		}
		if err := s.Close(); err == nil || time.Since(start) > 3*time.Second {
			t.Errorf("close: %v after %v", err, time.Since(start))
		}
		if err := s.Add(epoch, multihash(1), provider(1)); !errors.Is(err, store.ErrClosed) {
			t.Errorf("add after close: %v", err)
		}
		close(d.until)
		synctest.Wait()
	})
}

// TestSecondProgram: a directory has one owner at a time. Real files.
func TestSecondProgram(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Config{}); !errors.Is(err, errLocked) || !strings.Contains(err.Error(), "stop it, or choose another directory") {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestStrangeFiles opens directories with what does not belong there. Real files.
func TestStrangeFiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	garbage := make([]byte, 300<<10)
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	for name, content := range map[string][]byte{
		"notes.txt":                      []byte("mine"),
		"notes.tmp":                      []byte("mine"),
		"0000000000000001.0000.plog":     garbage,
		"0000000000000002.0000.plog":     nil,
		"00000000000000zz.0000.plog":     garbage,
		"0000000000000003.0000.plog.tmp": garbage,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Config{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		announce(t, s, epoch, 1, 1)
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s, err = Open(dir, Config{}); err != nil || !serves(t, s, epoch, 1, 1) {
			t.Errorf("%s: opened again: %v", name, err)
			continue
		}
		_ = s.Close()
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil && name != "0000000000000003.0000.plog.tmp" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
