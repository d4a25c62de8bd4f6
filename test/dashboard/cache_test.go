package dashboard

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

// cache is where packages and screenshots are kept from one run to the next.
func cache(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir() // no home folder
	}
	dir = filepath.Join(dir, "kdht-dashboard", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// installed returns a directory with the sources in dir, as they are now, and the packages
// that its lock file names, which are installed once.
func installed(t *testing.T, dir string, sources ...string) string {
	t.Helper()
	hash := sha256.New()
	locked := []string{"package.json", "package-lock.json", ".npmrc"}
	for _, name := range locked {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(text), text)
	}
	packages := filepath.Join(cache(t, "packages"), fmt.Sprintf("%x", hash.Sum(nil)[:8]))
	if _, err := os.Stat(filepath.Join(packages, "node_modules")); err != nil {
		fresh, err := os.MkdirTemp(filepath.Dir(packages), "making-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(fresh)
		for _, name := range locked {
			copied(t, filepath.Join(dir, name), filepath.Join(fresh, name))
		}
		run(t, 2*time.Minute, fresh, "npm", "ci", "--ignore-scripts")
		if err := os.Rename(fresh, packages); err != nil {
			t.Fatal(err)
		}
	}
	at := t.TempDir()
	for _, name := range append(sources, locked...) {
		copied(t, filepath.Join(dir, name), filepath.Join(at, name))
	}
	if err := os.Symlink(filepath.Join(packages, "node_modules"), filepath.Join(at, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return at
}

// copied copies a file, or a directory.
func copied(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else {
		var text []byte
		if text, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, text, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program to its end and returns what it wrote.
func run(t *testing.T, limit time.Duration, dir, program string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: install Node.js 20 or newer, with npm, and go", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v (%v)\n%s", program, args, err, ctx.Err(), out)
	}
	return string(out)
}
