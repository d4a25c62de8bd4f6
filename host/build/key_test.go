package build

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "node.key")
	key, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if key.Type() != crypto.Ed25519 {
		t.Errorf("made a key of type %v", key.Type())
	}
	again, err := LoadOrCreateKey(path)
	if err != nil || !again.Equals(key) {
		t.Errorf("loaded another key: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files left, %v", len(entries), err)
	}
	want, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if h := newHost(t, Config{Listen: loopback, KeyFile: path}); h.ID() != want {
		t.Errorf("host is %v, its key %v", h.ID(), want)
	}
	if h := newHost(t, Config{Listen: loopback, PrivKey: key}); h.ID() != want {
		t.Errorf("host is %v, its key %v", h.ID(), want)
	}
}

// Many processes start at once: all have the same identity.
func TestKeyFileRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.key")
	ids := make([]peer.ID, 16)
	var wait sync.WaitGroup
	for i := range ids {
		wait.Go(func() {
			key, err := LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
				return
			}
			if ids[i], err = peer.IDFromPrivateKey(key); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
		t.Errorf("identities %v", slices.Compact(ids))
	}
}

func TestKeyFileRefused(t *testing.T) {
	dir := t.TempDir()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		mode    os.FileMode
		says    []string
	}{
		"wide":   {good, 0o644, []string{"is open to other users (mode 0644)", "chmod 600 "}},
		"group":  {good, 0o640, []string{"is open to other users (mode 0640)", "chmod 600 "}},
		"empty":  {nil, 0o600, []string{"holds no libp2p private key", "restore it from a copy, or remove it"}},
		"cut":    {good[:len(good)-5], 0o600, []string{"holds no libp2p private key"}},
		"text":   {[]byte("-----BEGIN PRIVATE KEY-----\n"), 0o600, []string{"holds no libp2p private key"}},
		"public": {must(crypto.MarshalPublicKey(key.GetPublic())), 0o600, []string{"holds no libp2p private key"}},
		"large":  {make([]byte, 1<<20), 0o600, []string{"too large for a key file"}},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, c.content, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadOrCreateKey(path)
		checkLine(t, err, append(c.says, path)...)
		if kept, err := os.ReadFile(path); err != nil || string(kept) != string(c.content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	_, err = LoadOrCreateKey(dir)
	checkLine(t, err, dir+" is not a regular file")
	_, err = LoadOrCreateKey(filepath.Join(dir, "good", "node.key", "x"))
	if err != nil {
		t.Errorf("directories are made: %v", err)
	}
	_, err = LoadOrCreateKey(filepath.Join(dir, "good", "node.key", "x", "y"))
	checkLine(t, err, "key file", "not a directory")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
