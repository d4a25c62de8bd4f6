package httpapi

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kdht/kdht/cmd/node/internal/control"
)

const (
	// minToken is what nobody guesses, of letters and digits: 80 bits at least.
	minToken = 16
	maxToken = 1024
)

// LoadOrCreateToken returns the token in a file, made readable for its owner alone if
// there is none. One that others can read or write is refused.
func LoadOrCreateToken(path string) (string, error) {
	token, err := loadToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	if err := createToken(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", control.Errorf(control.Failed, "cannot make the HTTP token: %v; give the file of one with --http-token-file", err)
	}
	if token, err = loadToken(path); errors.Is(err, fs.ErrNotExist) {
		err = control.AsError(err)
	}
	return token, err
}

// loadToken reads a token; its error is fs.ErrNotExist if there is no file.
func loadToken(path string) (string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err != nil {
		return "", control.Errorf(control.Failed, "cannot read the HTTP token: %v; give the file of another with --http-token-file", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", control.AsError(err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 && os.PathSeparator == '/' {
		return "", control.Errorf(control.Failed, "the HTTP token %s is no file for its owner alone (%v): run: chmod 600 %s", path, mode, path)
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxToken+2))
	token := strings.TrimSpace(string(raw))
	if err != nil || len(token) < minToken || len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", control.Errorf(control.Failed, "%s holds no HTTP token: it takes %d or more letters and digits; remove it and `kdht run` makes one", path, minToken)
	}
	return token, nil
}

// createToken makes a token's file, which appears whole or not at all.
func createToken(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".token") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(rand.Text() + rand.Text() + "\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Link(file.Name(), path)
}
