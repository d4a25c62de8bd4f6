package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// The release of this system: whole, with a program that knows its version and says what it
// is made of, and the same bytes a second time.
func TestRelease(t *testing.T) {
	if os.Getenv("KDHT_RELEASE") != "1" {
		return // by design: a step of its own, see .ci/run, because it builds everything anew, without paths
	}
	t.Chdir("../..")
	t.Setenv("SOURCE_DATE_EPOCH", "1795442317")
	system, first, second := runtime.GOOS+"/"+runtime.GOARCH, t.TempDir(), t.TempDir()
	for _, dist := range []string{first, second} {
		if err := run(dist, []string{"v9.8.7-test", system}); err != nil {
			t.Fatal(err)
		}
	}
	name := "kdht_v9.8.7-test_" + strings.ReplaceAll(system, "/", "_")
	sums := string(read(t, first, "SHA256SUMS"))
	if again := string(read(t, second, "SHA256SUMS")); sums != again {
		t.Errorf("made twice:\n%s\nand\n%s", sums, again)
	}
	archive := read(t, first, name+".tar.gz")
	if line := fmt.Sprintf("%x  %s.tar.gz\n", sha256.Sum256(archive), name); !strings.Contains(sums, line) {
		t.Errorf("SHA256SUMS lacks %q:\n%s", line, sums)
	}
	program := filepath.Join(t.TempDir(), "kdht")
	if err := os.WriteFile(program, unpack(t, archive, name), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "--version").CombinedOutput(); err != nil || !strings.Contains(string(out), "v9.8.7-test") {
		t.Errorf("%v: %s", err, out)
	}

	var b bill
	if err := json.Unmarshal(read(t, first, name+".cdx.json"), &b); err != nil {
		t.Fatal(err)
	}
	has := func(purl string) bool {
		return slices.ContainsFunc(b.Components, func(c component) bool { return strings.HasPrefix(c.PURL, purl) })
	}
	if b.Format != "CycloneDX" || len(b.Components) < 50 || !has("pkg:golang/github.com/libp2p/go-libp2p@v0.") || !has("pkg:golang/std@1.") ||
		b.Metadata.Component.PURL != "pkg:golang/github.com/kdht/kdht@v9.8.7-test" || b.Metadata.Timestamp != "2026-11-23T13:58:37Z" {
		t.Errorf("%d components, of %+v", len(b.Components), b.Metadata)
	}
}

// A bill names what a program is made of: here, this test.
func TestBill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := billOf(self, "v1.2.3", time.Unix(0, 0).UTC())
	if err != nil {
		t.Fatal(err)
	}
	var b bill
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if b.Spec != "1.5" || len(b.Components) == 0 || b.Components[0].Name != "std" || !slices.Contains(b.Metadata.Component.Properties, property{"go:build:GOOS", runtime.GOOS}) {
		t.Errorf("%s", text)
	}
	changed := dependency(&debug.Module{Path: "a", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/B", Version: "v2.0.0+incompatible", Sum: "h1:x"}})
	if changed.PURL != "pkg:golang/example.org/b@v2.0.0%2Bincompatible" || !slices.Equal(changed.Properties, []property{{"go:sum", "h1:x"}}) {
		t.Errorf("%+v", changed)
	}
	if _, err := billOf("bill.go", "v1.2.3", time.Time{}); err == nil {
		t.Error("a bill of what is no program")
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// unpack checks what is in an archive and returns the program.
func unpack(t *testing.T, archive []byte, name string) (program []byte) {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h.Name)
		if h.Name == name+"/kdht" {
			if program, err = io.ReadAll(r); err != nil || h.Mode != 0o755 {
				t.Errorf("the program has mode %o: %v", h.Mode, err)
			}
		} else if h.Mode != 0o644 || h.Uid != 0 {
			t.Errorf("%s has mode %o and is of %d", h.Name, h.Mode, h.Uid)
		}
	}
	if want := name + "/TROUBLESHOOTING.md"; program == nil || !slices.Contains(all, want) {
		t.Errorf("holds %q", all)
	}
	return program
}

func TestZip(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "kdht.exe")
	if err := os.WriteFile(program, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	made := time.Unix(1795442317, 0).UTC()
	first, err := zipped("name", []string{program}, made)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := zipped("name", []string{program}, made); err != nil || !bytes.Equal(first, second) {
		t.Errorf("made twice, it differs (%v)", err)
	}
	r, err := zip.NewReader(bytes.NewReader(first), int64(len(first)))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.File) != 1 || r.File[0].Name != "name/kdht.exe" || r.File[0].Mode() != 0o755 {
		t.Errorf("holds %+v", r.File)
	}
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"1.2.3"}, {"v1.2"}, {"v1.2.3", "linux"}, {"v1.2.3 -X main.x=y", "linux/amd64"}} {
		t.Setenv("SOURCE_DATE_EPOCH", "1")
		if err := run(t.TempDir(), args); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if err := run(t.TempDir(), []string{"v1.2.3"}); err == nil || !strings.Contains(err.Error(), "seconds since 1970") {
		t.Errorf("%v", err)
	}
}
