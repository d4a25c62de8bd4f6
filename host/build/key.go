package build

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// maxKeyFile is more than any key libp2p accepts takes (RSA of 8192 bits: 4.7 KiB).
const maxKeyFile = 16 << 10

// LoadOrCreateKey returns the private key in a file, in libp2p's marshalled form.
// If there is no such file it makes an Ed25519 key and the file, readable for its
// owner alone; of several processes that do so at once one wins and the others
// load its key. A file that others can read, or that holds no key, is refused:
// an identity is never replaced behind its owner's back.
func LoadOrCreateKey(path string) (crypto.PrivKey, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("build: cannot create key file %s: %w; choose a path in a directory you can write to", path, err)
	}
	return loadKey(path)
}

// loadKey reads the key; its error is fs.ErrNotExist if there is no file.
func loadKey(path string) (crypto.PrivKey, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("build: cannot read key file: %w; run as its owner, or choose another path", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("build: cannot read key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("build: key file %s is not a regular file; choose another path", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("build: key file %s is open to other users (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("build: cannot read key file: %w", err)
	}
	if len(raw) > maxKeyFile {
		return nil, fmt.Errorf("build: %s is too large for a key file; choose another path", path)
	}
	key, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("build: key file %s holds no libp2p private key (%v); restore it from a copy, or remove it to get a new identity", path, err)
	}
	return key, nil
}

// createKey makes a key and its file, which never replaces another: that is
// fs.ErrExist.
func createKey(path string) error {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return err
	}
	raw, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return err
	}
	return saveKey(path, raw)
}

// saveKey makes the file, whole or not at all.
func saveKey(path string, raw []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, filepath.Base(path)+".new*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(raw)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in dir survive a power cut, where the system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}
