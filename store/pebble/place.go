package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// formatFile says what the directory is. lockFile is held while it is open.
	formatFile = "FORMAT"
	lockFile   = "LOCK"
	// formatLine and a number is what formatFile says; format is the one of this program.
	formatLine = "kdht values "
	format     = 1
	// probeFile is written and removed to see whether the disk takes something.
	probeFile = "PROBE"
	// Of the databases in the directory the one with the highest number holds; another
	// appears when the former was damaged.
	dbPrefix = "db-"
	// wreckPrefix and the number is its name then, until all is saved from it.
	wreckPrefix = "damaged-"
	// wreckAfter in a name says that it holds logs alone, of a database whose tables hold
	// so many batches.
	wreckAfter = "-after-"
	// safeFile says of a database how many batches of it were safe when it was closed.
	safeFile = "SAFE"
	// damagedFile is there if the current database was found to be damaged.
	damagedFile = "DAMAGED"
)

// place is the directory of a store, locked.
type place struct {
	fs   vfs.FS
	dir  string
	lock io.Closer
	db   string // name of the database that holds
}

// enter locks the directory, makes it if there is none, and looks at its format.
func enter(disk vfs.FS, dir string) (place, error) {
	p := place{fs: disk, dir: dir}
	if err := makeDir(disk, dir); err != nil {
		return p, fmt.Errorf("store: making the directory %s: %w: make it yourself, or name another one", dir, err)
	}
	var err error
	p.lock, err = disk.Lock(disk.PathJoin(dir, lockFile))
	if errors.Is(err, syscall.EROFS) {
		p.lock, err = noLock{}, nil // nobody can write here
	}
	if err != nil {
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
		ours := slices.ContainsFunc([]string{formatFile, lockFile, damagedFile, safeFile, probeFile, dbPrefix, wreckPrefix},
			func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		if !ours {
			return fmt.Errorf("%w: %s holds %s, which kdht did not put there: name an empty directory", ErrFormat, p.dir, name)
		}
	}
	if err := writeFile(p.fs, p.dir, formatFile, fmt.Appendf(nil, "%s%d\n", formatLine, format)); err != nil {
		return fmt.Errorf("store: writing the format of %s: %w", p.dir, err)
	}
	return nil
}

// current returns the number of the database that holds, 0 if there is none, and the
// names of those from which not all is saved yet.
func (p *place) current() (last int, wrecks []string, err error) {
	names, err := p.fs.List(p.dir)
	if err != nil {
		return 0, nil, fmt.Errorf("store: listing %s: %w", p.dir, err)
	}
	for _, name := range names {
		if n, ok := strings.CutPrefix(name, dbPrefix); ok {
			if n, err := strconv.Atoi(n); err == nil {
				last = max(last, n)
			}
		}
		if strings.HasPrefix(name, wreckPrefix) {
			wrecks = append(wrecks, name)
		}
	}
	return last, wrecks, nil
}

// setAside makes the current database a wreck.
func (p *place) setAside(n int) (name string, err error) {
	name = wreckPrefix + strconv.Itoa(n)
	if err := p.fs.Rename(p.path(dbName(n)), p.path(name)); err != nil {
		return "", fmt.Errorf("store: setting a damaged database aside: %w", err)
	}
	_ = p.fs.Remove(p.path(damagedFile))
	return name, syncDir(p.fs, p.dir)
}

// logsDamaged reports whether a log of the current database is damaged before its end.
func (p *place) logsDamaged(n int) bool {
	return scanLogs(p.fs, p.path(dbName(n)), func([]byte) {}) > 0
}

// setLogsAside makes a wreck of the current database's logs alone.
func (p *place) setLogsAside(n int, batches uint64) (name string, err error) {
	name = wreckPrefix + strconv.Itoa(n) + wreckAfter + strconv.FormatUint(batches, 10)
	from, to := p.path(dbName(n)), p.path(name)
	names, err := logNames(p.fs, from)
	if err == nil {
		err = p.fs.MkdirAll(to, 0o700)
	}
	for _, log := range names {
		if err == nil {
			err = p.fs.Rename(p.fs.PathJoin(from, log), p.fs.PathJoin(to, log))
		}
	}
	if err == nil {
		err = errors.Join(syncDir(p.fs, to), syncDir(p.fs, from), syncDir(p.fs, p.dir))
	}
	if err != nil {
		return "", fmt.Errorf("store: setting damaged logs aside: %w", err)
	}
	return name, nil
}

// tellSafe keeps that so many batches of the database are safe: a log that loses its end
// later looks like one that never had it.
func (p *place) tellSafe(batches uint64) error {
	return writeFile(p.fs, p.dir, safeFile, fmt.Appendf(nil, "%s %d\n", p.db, batches))
}

// safe returns how many batches of the database are known to have been safe.
func (p *place) safe() (batches uint64) {
	b, err := readFile(p.fs, p.path(safeFile))
	name, number, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	if err != nil || !ok || name != p.db {
		return 0
	}
	batches, _ = strconv.ParseUint(number, 10, 64) // 0 if it cannot be read
	return batches
}

// knownDamaged reports whether the current database was found to be damaged, or says so
// itself.
func (p *place) knownDamaged(n int) bool {
	_, err := p.fs.Stat(p.path(damagedFile))
	return err == nil || tornManifest(p.fs, p.path(dbName(n)))
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

// makeDir makes a directory and all above it that are not there, safely.
func makeDir(disk vfs.FS, dir string) error {
	if _, err := disk.Stat(dir); err == nil {
		return nil
	}
	above := disk.PathDir(dir)
	if above != dir {
		if err := makeDir(disk, above); err != nil {
			return err
		}
	}
	if err := disk.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(disk, above)
}

// syncDir makes the names in dir safe.
func syncDir(disk vfs.FS, dir string) error {
	d, err := disk.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
