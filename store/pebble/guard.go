package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard stands between a database and the disk, because the database knows two ways to take
// a failed write: to try again at once, for ever, or to end the program. Once it is open, a
// write that fails does not come back: its goroutine waits and tries again, all of them
// together once a second. What the database does in the background stands still meanwhile,
// what it reads goes on, and whoever asks the store for a write is told at once why there is
// none.
//
// What cannot be tried again, a sync that failed or what the database calls fatal, parks its
// goroutine for good; so does every write of a database that was given up.
type guard struct {
	vfs.FS
	*health

	live  atomic.Bool // before, whoever opens the database is told of a failure
	fatal chan error  // tells it
	dead  atomic.Bool // parks all writes
}

func newGuard(disk vfs.FS, h *health) *guard {
	return &guard{FS: disk, health: h, fatal: make(chan error, 1)}
}

// write runs one attempt to write until it succeeds.
func (g *guard) write(attempt func() error) error {
	if g.dead.Load() {
		park()
	}
	err := attempt()
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !g.live.Load() {
		g.giveUp(err)
	}
	for {
		g.health.wait(g.fail(err, false))
		if g.dead.Load() {
			park()
		}
		if err = attempt(); err == nil {
			g.recovered()
			return nil
		}
	}
}

// sync runs what makes writes safe. One that failed may have lost them, whatever the
// next one says.
func (g *guard) sync(attempt func() error) error {
	if g.dead.Load() {
		park()
	}
	err := attempt()
	if err != nil {
		g.giveUp(err)
	}
	return nil
}

// giveUp never returns: it tells Open, or whoever wants to write from now on.
func (g *guard) giveUp(err error) {
	if g.live.Load() {
		g.fail(err, true)
	} else {
		select {
		case g.fatal <- err:
		default:
		}
	}
	park()
}

// park never returns.
func park() { select {} }

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
	g.giveUp(fmt.Errorf(format, args...))
}
