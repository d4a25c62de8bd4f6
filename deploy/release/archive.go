package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// modeOf is the mode of a file in an archive; the program is the only one without an ending
// that its system knows.
func modeOf(file string) os.FileMode {
	if base := filepath.Base(file); base == "kdht" || strings.HasSuffix(base, ".exe") {
		return 0o755
	}
	return 0o644
}

// tarball packs files into a folder called name.
func tarball(name string, files []string, made time.Time) ([]byte, error) {
	var out bytes.Buffer
	gz, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(gz)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		h := &tar.Header{
			Name: path.Join(name, filepath.Base(file)), Mode: int64(modeOf(file)), Size: int64(len(text)),
			ModTime: made, Format: tar.FormatUSTAR,
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
	}
	err = errors.Join(w.Close(), gz.Close())
	return out.Bytes(), err
}

// zipped is tarball for systems that know zip files better.
func zipped(name string, files []string, made time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		h := &zip.FileHeader{Name: path.Join(name, filepath.Base(file)), Method: zip.Deflate, Modified: made}
		h.SetMode(modeOf(file))
		f, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}
