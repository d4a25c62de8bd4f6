package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kept returns what a node says it keeps.
func (u *user) kept(name string) map[string]any {
	u.t.Helper()
	return u.kdht("records", "--json", "--name", name).object()
}

// awaitSnapshot waits until the node has kept its table with so many peers.
func (u *user) awaitSnapshot(name string, peers float64) {
	u.t.Helper()
	for end := time.Now().Add(patience); u.kept(name)["snapshot"].(float64) < peers; {
		if time.Now().After(end) {
			u.t.Fatalf("no snapshot of %v peers: %v", peers, u.kept(name))
		}
	}
}

// A node is killed, and so is the only peer it was told to begin with. Started again
// with nothing but its name it knows its network, holds what it was given, and finds
// what others hold.
func TestReturnsAfterKill(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	first, join := u.node("--name", "first")
	for _, name := range []string{"second", "third"} {
		n, _ := u.node(append(join, "--name", name)...)
		n.err.await(t, "joined, knows")
	}
	back, _ := u.node(append(join, "--name", "back")...)
	back.err.await(t, "joined, knows")
	key := strings.TrimSpace(u.kdht("put", "--name", "back", "--text", "still here").ok())
	cid := strings.TrimSpace(u.kdht("provide", "--name", "second", program).ok())
	u.awaitSnapshot("back", 3)
	first.end(os.Kill)
	back.end(os.Kill)

	back, _ = u.node("--name", "back")
	back.err.await(t, "joined, knows")
	if got := u.kdht("records", "get", key, "--name", "back").ok(); got != "still here" {
		t.Errorf("on disk is %q", got)
	}
	if n := u.kept("back")["providers"].(float64); n != 1 {
		t.Errorf("%v provider records came back, want 1", n)
	}
	if got := u.kdht("records", "drop", key, "--name", "back").ok(); got != "dropped\n" {
		t.Errorf("dropped: %q", got)
	}
	u.kdht("records", "get", key, "--name", "back").fails(3, "keeps no value")
	if got := u.kdht("get", key, "--name", "back").ok(); got != "still here" {
		t.Errorf("from others came %q", got)
	}
	if got := u.kdht("find-providers", cid, "--name", "back").ok(); !strings.Contains(got, "/ip4/127.0.0.1/") {
		t.Errorf("providers: %q", got)
	}
}

// What is kept is counted, written out, read in again by another node, and copied
// while the node runs.
func TestRecords(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	one, _ := u.node()
	var keys []string
	for i := range 20 {
		r := u.kdht("put", "--text", fmt.Sprint("value ", i), "--name", "node") // nobody else takes it, and it is kept here
		r.fails(4, "on this node only")
		keys = append(keys, "/imm/"+r.stderr[strings.Index(r.stderr, "/imm/")+5:][:64])
	}
	u.kdht("put", "--mut", "x", "--republish", "--text", "signed").fails(4, "on this node only")
	got := u.kept("node")
	spaces := got["namespaces"].([]any)
	imm := spaces[0].(map[string]any)
	if got["values"] != 21.0 || got["publishing"] != 1.0 || len(spaces) != 2 || imm["namespace"] != "imm" || imm["values"] != 20.0 ||
		imm["next_expiry_s"].(float64) < 47*3600 || got["dir"] != filepath.Join(u.home, ".local/state/kdht/node") {
		t.Errorf("%v", got)
	}
	if text := u.kdht("records").ok(); !strings.Contains(text, "21 values") || !strings.Contains(text, "/mut") || !strings.Contains(text, "in 48h0m") {
		t.Errorf("%s", text)
	}
	u.kdht("records", "export", "out").ok()
	u.kdht("records", "export", "out").fails(2, "cannot make the file")
	other, _ := u.node("--memory", "--name", "other")
	if text := u.kdht("records", "import", "out", "--name", "other").ok(); text != "imported 21 values\n" {
		t.Errorf("%q", text)
	}
	if r := u.kept("other"); r["values"] != 21.0 || r["dir"] != "" {
		t.Errorf("%v", r)
	}
	bad := `{"key":"L2ltbS94","value":"eA=="}` + "\nnonsense\n"
	u.kdhtWith(bad, "records", "import", "-", "--name", "other").fails(2, "line 2 is no value")
	if text := u.kdhtWith(strings.Split(bad, "\n")[0], "records", "import", "-", "--name", "other").ok(); !strings.Contains(text, "1 refused (the first: ") {
		t.Errorf("%q", text)
	}
	u.kdht("records", "backup", "copy", "--name", "other").fails(2, "in memory")
	u.kdht("records", "backup", "copy").ok()
	u.kdht("records", "backup", "copy").fails(2, "not empty")
	u.kdht("records", "get", "nonsense").fails(2, "no key")
	for _, n := range []*running{one, other} {
		if code := n.end(syscall.SIGTERM); code != 0 {
			t.Errorf("ended with %d", code)
		}
	}
	if info, err := os.Stat(filepath.Join(u.home, "copy", "values")); err != nil || !info.IsDir() {
		t.Fatal(err)
	}
	u.node("--data-dir", "copy", "--name", "copy")
	if r := u.kept("copy"); r["values"] != 21.0 || r["publishing"] != 1.0 {
		t.Errorf("the copy holds %v", r)
	}
	if got := u.kdht("records", "get", keys[7], "--name", "copy").ok(); got != "value 7" {
		t.Errorf("%q", got)
	}
	u.kdht("run", "--data-dir", "copy", "--name", "twice").fails(1, "in use by a running node")
}

// What a damaged file has cost is told.
func TestDamageTold(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	n, _ := u.node("--data-dir", "mine")
	for i := range 20 {
		u.kdht("put", "--text", fmt.Sprint("value ", i)).fails(4, "on this node only")
	}
	if text := u.kdht("records").ok(); !strings.Contains(text, "sound") {
		t.Errorf("%s", text)
	}
	n.end(syscall.SIGTERM)
	logs, err := filepath.Glob(filepath.Join(u.home, "mine", "values", "db-*", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, log := range logs {
		info, err := os.Stat(log)
		if err == nil {
			err = os.Truncate(log, info.Size()/2)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	u.node("--data-dir", "mine")
	r := u.kept("node")
	if lost := r["disk"].(map[string]any)["lost"].(float64); lost == 0 || r["values"].(float64) > 19 {
		t.Errorf("half of the log is gone: %v", r)
	}
	if text := u.kdht("records").ok(); !strings.Contains(text, "known to be gone") {
		t.Errorf("%s", text)
	}
}

// Directories that cannot be used are refused in one line, and what is kept is for
// its owner alone.
func TestDataDirectory(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	n, _ := u.node("--data-dir", "mine")
	n.end(syscall.SIGTERM)
	err := filepath.WalkDir(filepath.Join(u.home, "mine"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		if err == nil && d.IsDir() && d.Name() != "mine" {
			return filepath.SkipDir // nobody else comes past its mode
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	u.kdht("run", "--memory", "--data-dir", "mine").fails(2, "give either")
	if err := os.WriteFile(filepath.Join(u.home, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	u.kdht("run", "--data-dir", "file").fails(1, "--data-dir")
	open := filepath.Join(u.home, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	u.kdht("run", "--data-dir", "open").fails(1, "chmod 700")
	newer := filepath.Join(u.home, "mine", "values", "FORMAT")
	if err := os.WriteFile(newer, []byte("kdht values 99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u.kdht("run", "--data-dir", "mine").fails(1, "newer")
	if err := os.RemoveAll(filepath.Dir(newer)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(u.home, "mine", "table"), []byte("kdht table\x01nonsense, and more of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, _ := u.node("--data-dir", "mine")
	again.err.await(t, "routing table of the last run is damaged")
}
