package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// retryEvery is how long the disk is left alone after it refused a write.
const retryEvery = time.Second

// guard stands between the database and the disk, because the database knows two
// ways to take a failed write: to try again at once, for ever, or to end the
// program. Once the store is open, a write that fails does not come back: its
// goroutine waits and tries again, all of them together once a second. What the
// database does in the background stands still meanwhile, what it reads goes on, and
// whoever asks the store for a write is told at once why there is none.
//
// What cannot be tried again, a sync that failed or what the database calls fatal,
// parks its goroutine for good; so does every write once the store was given up.
type guard struct {
	vfs.FS

	live    atomic.Bool   // before, failures go to the caller: it is Open that wants to know
	dead    atomic.Bool   // parks all writes
	retries atomic.Uint64 // attempts made again

	mu    sync.Mutex
	cause error         // why writes are refused, nil if they are not
	final bool          // cause is for good
	down  chan struct{} // closed while there is a cause
	up    chan struct{} // closed when there is none any more
	last  time.Time     // of an attempt made again
}

func newGuard(disk vfs.FS) *guard {
	return &guard{FS: disk, down: make(chan struct{}), up: make(chan struct{})}
}

// failure returns why writes are refused, nil if they are not.
func (g *guard) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cause
}

// failing returns a channel that is closed once writes are refused.
func (g *guard) failing() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.down
}

// fail refuses writes from now on and returns a channel that is closed when there
// are writes again.
func (g *guard) fail(err error, final bool) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cause == nil {
		close(g.down)
	}
	if !g.final {
		g.cause, g.final = explain(err, final), final
	}
	return g.up
}

// recovered takes writes again after one of those that failed succeeded.
func (g *guard) recovered() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cause == nil || g.final {
		return
	}
	close(g.up)
	g.cause, g.down, g.up = nil, make(chan struct{}), make(chan struct{})
}

// write runs one attempt to write until it succeeds.
func (g *guard) write(attempt func() error) error {
	if g.dead.Load() {
		park()
	}
	err := attempt()
	if err == nil || !g.live.Load() || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for {
		g.wait(g.fail(err, false))
		if g.dead.Load() {
			park()
		}
		if err = attempt(); err == nil {
			g.recovered()
			return nil
		}
	}
}

// wait returns when it is this goroutine's turn to try again.
func (g *guard) wait(up <-chan struct{}) {
	for {
		g.mu.Lock()
		now := time.Now()
		pause := g.last.Add(retryEvery).Sub(now)
		if g.last.IsZero() {
			g.last, pause = now, retryEvery
		} else if pause <= 0 {
			g.last = now
			g.mu.Unlock()
			break
		}
		g.mu.Unlock()
		select {
		case <-up:
			return
		case <-time.After(pause):
		}
	}
	g.retries.Add(1)
}

// sync runs what makes writes safe. One that failed may have lost them, whatever the
// next one says.
func (g *guard) sync(attempt func() error) error {
	if g.dead.Load() {
		park()
	}
	err := attempt()
	if err != nil && g.live.Load() {
		g.fail(err, true)
		park()
	}
	return err
}

// park never returns.
func park() { select {} }

// explain turns a failed write into what its user can do about it.
func explain(err error, final bool) error {
	advice := "see to the disk; writes go on by themselves once it takes them"
	switch {
	case final:
		advice = "see to the disk, then start again"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "free some space; writes go on by themselves"
	case errors.Is(err, syscall.EROFS):
		advice = "mount the disk writable; writes go on by themselves"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		advice = "raise the limit of open files; writes go on by themselves"
	}
	return fmt.Errorf("%w: %w: %s", ErrDisk, err, advice)
}

// Lock implements vfs.FS: the directory is locked as a whole, by Open.
func (g *guard) Lock(string) (io.Closer, error) { return noLock{}, nil }

type noLock struct{}

func (noLock) Close() error { return nil }

// Unwrap implements vfs.FS.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// Create implements vfs.FS.
func (g *guard) Create(name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = g.write(func() (err error) { f, err = g.FS.Create(name, c); return err })
	return g.file(f), err
}

// OpenReadWrite implements vfs.FS.
func (g *guard) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (f vfs.File, err error) {
	err = g.write(func() (err error) { f, err = g.FS.OpenReadWrite(name, c, opts...); return err })
	return g.file(f), err
}

// ReuseForWrite implements vfs.FS.
func (g *guard) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = g.write(func() (err error) { f, err = g.FS.ReuseForWrite(from, to, c); return err })
	return g.file(f), err
}

// OpenDir implements vfs.FS.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	return g.file(f), err
}

// Link implements vfs.FS.
func (g *guard) Link(from, to string) error {
	return g.write(func() error { return g.FS.Link(from, to) })
}

// Rename implements vfs.FS.
func (g *guard) Rename(from, to string) error {
	return g.write(func() error { return g.FS.Rename(from, to) })
}

// MkdirAll implements vfs.FS.
func (g *guard) MkdirAll(dir string, perm os.FileMode) error {
	return g.write(func() error { return g.FS.MkdirAll(dir, perm) })
}

// Remove implements vfs.FS.
func (g *guard) Remove(name string) error {
	if g.dead.Load() {
		park()
	}
	return g.FS.Remove(name)
}

func (g *guard) file(f vfs.File) vfs.File {
	if f == nil {
		return nil
	}
	return &guardedFile{File: f, guard: g}
}

// guardedFile is a file that is written through a guard.
type guardedFile struct {
	vfs.File
	guard *guard
}

// Write writes all of b, from where the disk stopped taking it if it did.
func (f *guardedFile) Write(b []byte) (n int, err error) {
	err = f.guard.write(func() error {
		taken, err := f.File.Write(b[n:])
		n += taken
		return err
	})
	return n, err
}

// Preallocate is a hint: the file is written without it as well.
func (f *guardedFile) Preallocate(offset, length int64) error {
	_ = f.File.Preallocate(offset, length)
	return nil
}

// Sync implements vfs.File.
func (f *guardedFile) Sync() error { return f.guard.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *guardedFile) SyncData() error { return f.guard.sync(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *guardedFile) SyncTo(length int64) (full bool, err error) {
	err = f.guard.sync(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Infof implements the database's logger: what it does is none of the user's business.
func (g *guard) Infof(string, ...any) {}

// Errorf implements the database's logger: failures are seen where they happen.
func (g *guard) Errorf(string, ...any) {}

// Fatalf implements the database's logger. It must not return, and must not end the
// program either.
func (g *guard) Fatalf(format string, args ...any) {
	g.fail(fmt.Errorf(format, args...), true)
	park()
}
