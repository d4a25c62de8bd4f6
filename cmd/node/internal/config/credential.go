package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kdht/kdht/host/build"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// maxCredential is the longest text that build.ParseKey takes for a key.
const maxCredential = 16 << 10

// isCredential says whether a file is one that the service manager hands over (systemd's
// LoadCredential). Such a file shows the mode 0440 although its group may not read it: an
// access list, which the mode sums up, lets the service's user alone.
func isCredential(path string) bool {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	return dir != "" && filepath.IsAbs(dir) && filepath.Dir(path) == filepath.Clean(dir)
}

// readCredential reads a key that the service manager hands over. None is ever made: the
// directory is the manager's.
func readCredential(path string) (crypto.PrivKey, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the credential: %w; name it in the unit, LoadCredential=%s:FILE", err, filepath.Base(path))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the credential: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o037 != 0 {
		return nil, fmt.Errorf("the credential %s is open to other users (mode %v): let LoadCredential= make it", path, mode)
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxCredential+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the credential: %w", err)
	}
	key, err := build.ParseKey(raw)
	if err != nil {
		return nil, fmt.Errorf("the credential %s: %w; `kdht key gen` makes one", path, err)
	}
	return key, nil
}
