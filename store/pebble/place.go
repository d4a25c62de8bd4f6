package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// formatFile says what the directory is. lockFile is held while it is open.
	formatFile = "FORMAT"
	lockFile   = "LOCK"
	// formatLine and a number is what formatFile says; format is the one of this program.
	formatLine = "kdht values "
	format     = 1
	// Of the databases in the directory the one with the highest number holds; another
	// appears when the former was damaged.
	dbPrefix = "db-"
	// newPrefix marks a database that is not finished.
	newPrefix = "new-"
)

// place is the directory of a store, locked.
type place struct {
	fs   vfs.FS
	dir  string
	lock io.Closer
}

// enter locks the directory, makes it if there is none, and looks at its format.
func enter(disk vfs.FS, dir string) (place, error) {
	p := place{fs: disk, dir: dir}
	if err := disk.MkdirAll(dir, 0o700); err != nil {
		return p, fmt.Errorf("store: making the directory %s: %w: make it yourself, or name another one", dir, err)
	}
	var err error
	if p.lock, err = disk.Lock(disk.PathJoin(dir, lockFile)); err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return p, fmt.Errorf("store: %w: let this program write to %s, or name another directory", err, dir)
		}
		return p, fmt.Errorf("%w: %s (%w): stop that one, or name another directory", ErrInUse, dir, err)
	}
	if err := p.checkFormat(); err != nil {
		return p, errors.Join(err, p.unlock())
	}
	return p, nil
}

// checkFormat reads what the directory says of itself; a new one says nothing yet.
func (p *place) checkFormat() error {
	b, err := readFile(p.fs, p.path(formatFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p.claim()
	}
	if err != nil {
		return fmt.Errorf("store: reading the format of %s: %w", p.dir, err)
	}
	number, isOurs := strings.CutPrefix(strings.TrimSpace(string(b)), formatLine)
	n, err := strconv.Atoi(number)
	switch {
	case isOurs && err == nil && n > format:
		return fmt.Errorf("%w: %s is of format %d, this program knows up to %d: use a newer kdht, or name another directory",
			ErrFormat, p.dir, n, format)
	case isOurs && err == nil && n == format:
		return nil
	}
	return p.claim() // damaged, or never finished
}

// claim writes the format, unless the directory holds something that is not ours.
func (p *place) claim() error {
	names, err := p.fs.List(p.dir)
	if err != nil {
		return fmt.Errorf("store: listing %s: %w", p.dir, err)
	}
	for _, name := range names {
		if name != formatFile && name != lockFile && !strings.HasPrefix(name, dbPrefix) && !strings.HasPrefix(name, newPrefix) {
			return fmt.Errorf("%w: %s holds %s, which kdht did not put there: name an empty directory", ErrFormat, p.dir, name)
		}
	}
	if err := writeFile(p.fs, p.dir, formatFile, fmt.Appendf(nil, "%s%d\n", formatLine, format)); err != nil {
		return fmt.Errorf("store: writing the format of %s: %w", p.dir, err)
	}
	return nil
}

// current returns the number of the database that holds, 0 if there is none, and
// removes what others left behind.
func (p *place) current() (int, error) {
	names, err := p.fs.List(p.dir)
	if err != nil {
		return 0, fmt.Errorf("store: listing %s: %w", p.dir, err)
	}
	last := 0
	for _, name := range names {
		if n, err := strconv.Atoi(strings.TrimPrefix(name, dbPrefix)); err == nil && strings.HasPrefix(name, dbPrefix) {
			last = max(last, n)
		}
	}
	for _, name := range names {
		if strings.HasPrefix(name, newPrefix) || strings.HasPrefix(name, dbPrefix) && name != dbName(last) {
			_ = p.fs.RemoveAll(p.path(name))
		}
	}
	return last, nil
}

func (p *place) path(name string) string { return p.fs.PathJoin(p.dir, name) }

func (p *place) unlock() error {
	if p.lock == nil {
		return nil
	}
	lock := p.lock
	p.lock = nil
	return lock.Close()
}

func dbName(n int) string { return dbPrefix + strconv.Itoa(n) }

func readFile(disk vfs.FS, path string) ([]byte, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, 1<<16))
}

// writeFile writes a file that is there as a whole, or not at all, after a crash.
func writeFile(disk vfs.FS, dir, name string, b []byte) error {
	path := disk.PathJoin(dir, name)
	f, err := disk.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := disk.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(disk, dir)
}

// syncDir makes the names in dir safe.
func syncDir(disk vfs.FS, dir string) error {
	d, err := disk.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
