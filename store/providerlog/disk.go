package providerlog

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// disk is what the log needs of a file system. Tests put one in its place that
// forgets what was not synced.
type disk interface {
	MkdirAll(dir string) error
	// List returns the names of the files in dir, sorted.
	List(dir string) ([]string, error)
	// Create makes path an empty file, open for writing.
	Create(path string) (file, error)
	// Open opens path for reading.
	Open(path string) (file, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir returns when the names in dir are safe.
	SyncDir(dir string) error
	// Lock takes path for this program alone, or fails at once.
	Lock(path string) (io.Closer, error)
}

// file is one open file. What is written at an offset may be written there again.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Size() (int64, error)
}

// errLocked means that another program has the directory open.
var errLocked = errors.New("another program has it open")

// osDisk is the real one.
type osDisk struct{}

func (osDisk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (osDisk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (osDisk) Create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Open(path string) (file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) Remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (osDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // nothing was written through it
	return d.Sync()
}

func (osDisk) Lock(path string) (io.Closer, error) { return lock(path) }

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
