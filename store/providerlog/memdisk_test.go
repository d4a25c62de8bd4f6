package providerlog

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
)

// memDisk is a disk in memory that knows what was synced. A clone of it after a
// crash has all of that and of the rest whatever chance decides. It can also be
// told to refuse what a broken or full disk refuses.
type memDisk struct {
	mu    sync.Mutex // guards all below, and all files
	names map[string]*memFile
	// safe is names as of the last SyncDir; those of it and of names differ by what a
	// crash may undo.
	safe   map[string]*memFile
	locked map[string]bool

	refuse error // of writes, of new names and of syncs
	grace  int   // how many of those it still does before it refuses
	room   int   // bytes that may still be written, if limited
	full   bool  // limited
}

// sector is what a disk writes whole or not at all.
const sector = 512

type memFile struct {
	disk *memDisk
	now  []byte
	safe []byte
	// torn are the sectors written since the last sync.
	torn map[int]bool
}

func newMemDisk() *memDisk {
	return &memDisk{names: make(map[string]*memFile), safe: make(map[string]*memFile), locked: make(map[string]bool)}
}

// refusal counts one thing that the disk is to do, and tells whether it refuses.
func (d *memDisk) refusal() error {
	if d.refuse != nil && d.grace > 0 {
		d.grace--
		return nil
	}
	return d.refuse
}

var errNoRoom = errors.New("no space left on device")

func (d *memDisk) MkdirAll(string) error { return nil }

func (d *memDisk) List(dir string) (names []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for path := range d.names {
		if filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d *memDisk) Create(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refusal(); err != nil {
		return nil, err
	}
	f := &memFile{disk: d, torn: make(map[int]bool)}
	d.names[path] = f
	return f, nil
}

func (d *memDisk) Open(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[path]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return f, nil
}

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refusal(); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *memDisk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refusal(); err != nil {
		return err
	}
	delete(d.names, path)
	return nil
}

func (d *memDisk) SyncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refusal(); err != nil {
		return err
	}
	d.safe = maps.Clone(d.names)
	return nil
}

type memLock struct {
	disk *memDisk
	path string
}

func (d *memDisk) Lock(path string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked[path] {
		return nil, errLocked
	}
	d.locked[path] = true
	return memLock{d, path}, nil
}

func (l memLock) Close() error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	delete(l.disk.locked, l.path)
	return nil
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off >= int64(len(f.now)) {
		return 0, io.EOF
	}
	n := copy(b, f.now[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refusal(); err != nil {
		return 0, err
	}
	var err error
	if d.full && len(b) > d.room {
		b, err = b[:d.room], errNoRoom
	}
	d.room -= len(b)
	if more := int(off) + len(b) - len(f.now); more > 0 {
		f.now = append(f.now, make([]byte, more)...)
	}
	copy(f.now[off:], b)
	for s := int(off) / sector; s*sector < int(off)+len(b); s++ {
		f.torn[s] = true
	}
	return len(b), err
}

func (f *memFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.refusal(); err != nil {
		return err
	}
	f.safe = slices.Clone(f.now)
	clear(f.torn)
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.now)), nil
}

func (f *memFile) Close() error { return nil }

// crash returns what is on the disk after the power failed: of what was not synced,
// any sectors and any names.
func (d *memDisk) crash(random *rand.Rand) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newMemDisk()
	copies := make(map[*memFile]*memFile)
	take := func(path string, f *memFile) {
		if copies[f] == nil {
			copies[f] = f.crash(c, random)
		}
		c.names[path] = copies[f]
	}
	for _, path := range slices.Sorted(maps.Keys(d.safe)) {
		if d.names[path] == d.safe[path] || random.IntN(2) == 0 {
			take(path, d.safe[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(d.names)) {
		if d.safe[path] == d.names[path] || random.IntN(2) == 0 {
			take(path, d.names[path])
		}
	}
	c.safe = maps.Clone(c.names)
	return c
}

func (f *memFile) crash(on *memDisk, random *rand.Rand) *memFile {
	b := slices.Clone(f.safe)
	for _, s := range slices.Sorted(maps.Keys(f.torn)) {
		if random.IntN(2) == 0 {
			continue
		}
		from, to := s*sector, min((s+1)*sector, len(f.now))
		if from >= to {
			continue
		}
		if more := to - len(b); more > 0 {
			b = append(b, make([]byte, more)...)
		}
		copy(b[from:to], f.now[from:to])
	}
	return &memFile{disk: on, now: b, safe: slices.Clone(b), torn: make(map[int]bool)}
}
