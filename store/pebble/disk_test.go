package pebble

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// badDisk is a file system that can be made to refuse writes.
type badDisk struct {
	vfs.FS
	refuse  atomic.Pointer[error] // what every write is answered with; nil: it is done
	room    atomic.Int64          // bytes that still fit while room is bounded
	bounded atomic.Bool
	refused atomic.Int64
	onSync  atomic.Pointer[func() error] // comes before every sync of a file
}

func (d *badDisk) try() error {
	if err := d.refuse.Load(); err != nil {
		d.refused.Add(1)
		return &fs.PathError{Op: "write", Path: "disk", Err: *err}
	}
	return nil
}

func (d *badDisk) set(err error) {
	if err == nil {
		d.refuse.Store(nil)
	} else {
		d.refuse.Store(&err)
	}
}

func (d *badDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.try(); err != nil {
		return nil, err
	}
	f, err := d.FS.Create(name, c)
	return d.file(f), err
}

func (d *badDisk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.try(); err != nil {
		return nil, err
	}
	f, err := d.FS.ReuseForWrite(from, to, c)
	return d.file(f), err
}

func (d *badDisk) Rename(from, to string) error { return errors.Join(d.try(), d.FS.Rename(from, to)) }

func (d *badDisk) Link(from, to string) error { return errors.Join(d.try(), d.FS.Link(from, to)) }

func (d *badDisk) MkdirAll(dir string, perm os.FileMode) error {
	if _, err := d.Stat(dir); err == nil {
		return nil
	}
	return errors.Join(d.try(), d.FS.MkdirAll(dir, perm))
}

func (d *badDisk) file(f vfs.File) vfs.File {
	if f == nil {
		return nil
	}
	return &badFile{f, d}
}

type badFile struct {
	vfs.File
	disk *badDisk
}

// Write takes what fits, as a disk does that gets full in the middle.
func (f *badFile) Write(b []byte) (int, error) {
	if err := f.disk.try(); err != nil {
		return 0, err
	}
	if !f.disk.bounded.Load() {
		return f.File.Write(b)
	}
	left := f.disk.room.Add(-int64(len(b)))
	if left >= 0 {
		return f.File.Write(b)
	}
	fit := max(int64(len(b))+left, 0)
	f.disk.refused.Add(1)
	n, err := f.File.Write(b[:fit])
	if err == nil {
		err = &fs.PathError{Op: "write", Path: "disk", Err: syscall.ENOSPC}
	}
	return n, err
}

func (f *badFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *badFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *badFile) sync(do func() error) error {
	if before := f.disk.onSync.Load(); before != nil {
		if err := (*before)(); err != nil {
			return err
		}
	}
	return do()
}

// openBad opens a store on a disk that is good yet. Whoever waits to try again does so until
// something is sent to seconds.
func openBad(tb testing.TB) (kv *KV, disk *badDisk, seconds chan time.Time) {
	tb.Helper()
	disk, seconds = &badDisk{FS: vfs.NewMem()}, make(chan time.Time)
	return mustOpen(tb, "/store", Config{FS: disk, after: func(time.Duration) <-chan time.Time { return seconds }}), disk, seconds
}

// well waits until writes are taken again.
func well(tb testing.TB, kv *KV, seconds chan time.Time) {
	tb.Helper()
	kv.health.mu.Lock()
	up, failing := kv.health.up, kv.health.cause != nil
	kv.health.mu.Unlock()
	for failing {
		select {
		case seconds <- time.Time{}:
		case <-up:
			return
		case <-time.After(time.Minute):
			tb.Fatal("a disk that is well for a minute does not count as well")
		}
	}
}

// TestDiskRefuses: while the disk takes nothing, writes are refused at once and say what to
// do, reads go on, and when it does again, so do writes; nothing that was acknowledged is
// lost (reliability.md P16).
func TestDiskRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		advice string
	}{
		"full":          {syscall.ENOSPC, "free some space"},
		"quota":         {syscall.EDQUOT, "free some space"},
		"read-only":     {syscall.EROFS, "mount the disk writable"},
		"no more files": {syscall.EMFILE, "raise the limit of open files"},
		"broken":        {syscall.EIO, "see to the disk"},
	} {
		t.Run(name, func(t *testing.T) {
			diskRefuses(t, c.err, c.advice)
		})
	}
}

func diskRefuses(t *testing.T, cause error, advice string) {
	kv, disk, seconds := openBad(t)
	fill(t, kv, 0, 100)
	disk.set(cause)
	for i := 100; i < 1100; i++ {
		k, v := numbered(i)
		err := kv.PutAt(k, v, 1)
		if err == nil {
			err = kv.Sync()
		}
		if !errors.Is(err, ErrDisk) || !errors.Is(err, cause) || !strings.Contains(err.Error(), advice) {
			t.Fatalf("put %d: %v", i, err)
		}
	}
	for range 10 {
		seconds <- time.Time{}
	}
	if gone := missing(t, kv, 100); gone > 0 || kv.Stats().Refused == nil {
		t.Errorf("%d of 100 pairs cannot be read; writes are refused because of %v", gone, kv.Stats().Refused)
	}
	if n := disk.refused.Load(); n < 8 || n > 13 {
		t.Errorf("the disk was asked %d times within 10 s", n)
	}
	disk.set(nil)
	well(t, kv, seconds)
	fill(t, kv, 100, 200)
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	kv = mustOpen(t, "/store", Config{FS: disk})
	if gone := missing(t, kv, 200); gone > 0 {
		t.Errorf("%d of 200 pairs are gone", gone)
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseOnBadDisk: a store whose disk takes nothing closes within two seconds, and what
// was acknowledged is there when it is opened again, read-only at first if the disk is no
// better.
func TestCloseOnBadDisk(t *testing.T) {
	for name, again := range map[string]error{"well again": nil, "still full": syscall.ENOSPC, "read-only": syscall.EROFS} {
		t.Run(name, func(t *testing.T) {
			kv, disk, _ := openBad(t)
			fill(t, kv, 0, 100)
			disk.set(syscall.ENOSPC)
			k, v := numbered(100)
			if err := errors.Join(kv.Put(k, v), kv.Sync()); !errors.Is(err, ErrDisk) {
				t.Fatalf("a put on a full disk: %v", err)
			}
			if err := closeInTime(t, kv); !errors.Is(err, ErrDisk) {
				t.Errorf("Close on a full disk: %v", err)
			}
			disk.set(again)
			kv = mustOpen(t, "/store", Config{FS: disk})
			if gone := missing(t, kv, 100); gone > 0 {
				t.Errorf("%d of 100 pairs are gone", gone)
			}
			err := errors.Join(kv.Put(k, v), kv.Sync())
			if (err != nil) != (again != nil) || again != nil && !errors.Is(err, ErrDisk) {
				t.Errorf("a put after that: %v", err)
			}
			if err := kv.Close(); err != nil && again == nil {
				t.Fatal(err)
			}
		})
	}
}

// TestDiskNotWritableAtStart: a store that opens on a disk that takes nothing serves what it
// holds, and takes writes by itself as soon as the disk does.
func TestDiskNotWritableAtStart(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EROFS} {
		kv, disk, seconds := openBad(t)
		fill(t, kv, 0, 100)
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
		disk.set(cause)
		kv = mustOpen(t, "/store", Config{FS: disk, after: func(time.Duration) <-chan time.Time { return seconds }})
		for range 3 {
			seconds <- time.Time{}
			k, v := numbered(100)
			if err := kv.Put(k, v); !errors.Is(err, ErrDisk) || !errors.Is(err, cause) {
				t.Errorf("a put while the disk takes nothing: %v, want %v", err, cause)
			}
			if gone := missing(t, kv, 100); gone > 0 {
				t.Errorf("%v: %d of 100 pairs cannot be read", cause, gone)
			}
		}
		disk.set(nil)
		well(t, kv, seconds)
		fill(t, kv, 100, 200)
		if gone := missing(t, kv, 200); gone > 0 {
			t.Errorf("%v: %d of 200 pairs are gone", cause, gone)
		}
		if err := kv.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskSyncFails: what a sync that failed has lost nobody knows: nothing more is taken
// until the program starts again, and then all is there that was acknowledged.
func TestDiskSyncFails(t *testing.T) {
	kv, disk, _ := openBad(t)
	fill(t, kv, 0, 100)
	fails := func() error { return syscall.EIO }
	disk.onSync.Store(&fails)
	k, v := numbered(100)
	for range 2 {
		if err := errors.Join(kv.Put(k, v), kv.Sync()); !errors.Is(err, ErrDisk) || !strings.Contains(err.Error(), "then start again") {
			t.Errorf("a put whose sync fails: %v", err)
		}
		disk.onSync.Store(nil) // too late
	}
	if gone := missing(t, kv, 100); gone > 0 {
		t.Errorf("%d of 100 pairs cannot be read", gone)
	}
	if err := closeInTime(t, kv); !errors.Is(err, ErrDisk) {
		t.Errorf("Close after a sync that failed: %v", err)
	}
	kv = mustOpen(t, "/store", Config{FS: disk})
	if gone := missing(t, kv, 100); gone > 0 {
		t.Errorf("%d of 100 pairs are gone", gone)
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseOnSilentDisk: a store whose disk does not answer closes in time all the same.
func TestCloseOnSilentDisk(t *testing.T) {
	kv, disk, _ := openBad(t)
	fill(t, kv, 0, 100)
	answer := make(chan struct{})
	silent := func() error { <-answer; return nil }
	disk.onSync.Store(&silent)
	k, v := numbered(100)
	if err := kv.Put(k, v); err != nil {
		t.Fatal(err)
	}
	if err := closeInTime(t, kv); !errors.Is(err, ErrDisk) {
		t.Errorf("Close on a disk that does not answer: %v", err)
	}
	close(answer)
	kv.idle.Wait()
}

// closeInTime closes a store, which may take two seconds.
func closeInTime(tb testing.TB, kv *KV) error {
	tb.Helper()
	closed := make(chan error, 1)
	go func() { closed <- kv.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(2 * time.Second):
		tb.Fatal("Close takes more than 2 s")
		return nil
	}
}

// TestDiskFillsUp writes until the disk is full, in the middle of whatever the database does
// then, over and over with a little more room.
func TestDiskFillsUp(t *testing.T) {
	kv, disk, seconds := openBad(t)
	disk.bounded.Store(true)
	acked := 0
	for range 20 {
		disk.room.Store(300 << 10)
		well(t, kv, seconds)
		for {
			k, v := numbered(acked)
			if errors.Join(kv.PutAt(k, v, uint32(acked+1)), kv.Sync()) != nil {
				break
			}
			acked++
		}
	}
	if gone := missing(t, kv, acked); gone > 0 || acked < 5000 {
		t.Errorf("%d of %d pairs cannot be read", gone, acked)
	}
	disk.bounded.Store(false)
	well(t, kv, seconds)
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	kv = mustOpen(t, "/store", Config{FS: disk})
	if gone := missing(t, kv, acked); gone > 0 {
		t.Errorf("%d of %d pairs are gone", gone, acked)
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
}
