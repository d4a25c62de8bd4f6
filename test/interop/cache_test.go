package interop_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// madeOnce returns a folder in the user's cache that is named after the files it is made of, and has it made if it is not there:
// next to its place, from copies of the files, so that it is whole or absent. Nothing is written into the tree.
func madeOnce(t *testing.T, name, from string, files []string, fill func(fresh string)) (dir string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir() // no home folder
	}
	dir = filepath.Join(cache, "kdht-interop", name+"-"+fingerprint(t, from, files...))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "making-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	copyFiles(t, from, fresh, files...)
	start := time.Now()
	fill(fresh)
	if err := os.Rename(fresh, dir); err != nil {
		if _, raced := os.Stat(dir); raced != nil {
			t.Fatal(err)
		}
	}
	t.Logf("made %s in %.0f s", dir, time.Since(start).Seconds())
	return dir
}

// needs finds a tool. Where it is not installed the stack is left out, except in CI.
func needs(t *testing.T, tool, install string) (path string) {
	t.Helper()
	path, err := exec.LookPath(tool)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatalf("the live peers need %s: install %s (%v)", tool, install, err)
	default:
		t.Skipf("left out, as %s is not installed: install %s (%v)", tool, install, err)
	}
	return ""
}

// runIn runs a program that fills a folder.
func runIn(t *testing.T, dir string, limit time.Duration, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v (%v)\n%s", filepath.Base(program), args[0], err, ctx.Err(), out)
	}
}

func fingerprint(t *testing.T, dir string, names ...string) string {
	t.Helper()
	hash := sha256.New()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(text), text)
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:8])
}

func copyFiles(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
