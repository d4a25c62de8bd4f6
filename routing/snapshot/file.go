package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File keeps a snapshot in a file that its owner alone can read. One process uses
// it at a time.
type File struct{ path string }

// NewFile returns the snapshot in the file at path. The directory must exist.
func NewFile(path string) *File { return &File{path: path} }

// Load returns what the last Save kept, nothing if there is no file. The error
// says what to do; a damaged file stays until the next Save.
func (f *File) Load() ([]Peer, error) {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot: cannot read the routing table of the last run: %w; run as the file's owner, or remove it", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("snapshot: cannot read the routing table of the last run: %w", err)
	}
	peers, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is left out and will be replaced", err, f.path)
	}
	return peers, nil
}

// Save replaces the file. It survives a power cut from then on, and until then the
// one before does.
func (f *File) Save(peers []Peer) error {
	dir := filepath.Dir(f.path)
	file, err := os.CreateTemp(dir, filepath.Base(f.path)+".new*") // mode 0600
	if err != nil {
		return fmt.Errorf("snapshot: cannot keep the routing table: %w", err)
	}
	defer os.Remove(file.Name()) // fails when all went well: it has another name then
	_, err = file.Write(Append(nil, peers))
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("snapshot: cannot keep the routing table: %w", err)
	}
	if d, err := os.Open(dir); err == nil { // where the system can, the new name survives, too
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}
