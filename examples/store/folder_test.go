package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/storetest"
)

func open(tb testing.TB, dir string) store.KV {
	tb.Helper()
	kv, err := openFolder(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return kv
}

// What every store must do, this one does.
func TestFolder(t *testing.T) { storetest.Durable(t, open) }

func TestWhatIsNoRecordIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"notes.txt", "zz" + ending, "00" + ending} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kv := open(t, dir)
	defer kv.Close()
	if files, err := os.ReadDir(dir); err != nil || len(files) != 3 || kv.Len() != 0 {
		t.Errorf("%d records, files %v, %v", kv.Len(), files, err)
	}
}
