package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/settings"
)

// write writes a user's file and returns its path.
func (u *user) write(name, text string) string {
	u.t.Helper()
	path := filepath.Join(u.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return path
}

// from returns the value of a setting and where it comes from.
func (r *result) from(key string) string {
	r.t.Helper()
	for _, s := range r.object()["settings"].([]any) {
		if one := s.(map[string]any); one["key"] == key {
			return one["value"].(string) + " from " + one["from"].(string)
		}
	}
	return "no " + key
}

// A flag decides before a variable, that before the file, that before the default; limits and log levels change while a node runs.
func TestConfig(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.write(".config/kdht/config.toml", "mode = 'client'\nlisten = ['/ip4/127.0.0.1/tcp/0']\nmemory = true\nlog-level = 'warn'\n[limits]\npeer-rate = 77\ntotal = 5000\n[log]\nmdns = 'info'\n")
	u.env = append(u.env, "KDHT_MODE=server", "KDHT_LIMIT=near=8")
	show := u.kdht("config", "show", "--json")
	for key, want := range map[string]string{
		"mode": "server from environment", "listen": "/ip4/127.0.0.1/tcp/0 from file", "memory": "true from file", "mdns": "false from default",
		"limits.peer-rate": "77 from file", "log.mdns": "info from file", "log-level": "warn from file",
	} {
		if got := show.from(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	n := u.start("run", "--limit", "total=9000", "--limit", "near=16")
	n.out.await(t, "listens")
	running := u.kdht("config", "show", "--running", "--json")
	for key, want := range map[string]string{"limits.peer-rate": "77 from file", "limits.total": "9000 from flag", "limits.near": "16 from flag", "limits.far": "0 from default", "mode": "server from environment"} {
		if got := running.from(key); got != want {
			t.Errorf("running, %s: %s, want %s", key, got, want)
		}
	}
	if got := u.kdht("throttle").ok(); !strings.Contains(got, "a peer     77 units/s") || !strings.Contains(got, "in total   9000 units/s") {
		t.Errorf("limits of the file and of a flag:\n%s", got)
	}
	if got := u.kdht("config", "reload").ok(); !strings.Contains(got, "says what it said before") {
		t.Errorf("nothing changed: %q", got)
	}
	u.write(".config/kdht/config.toml", "mode = 'client'\nmdns = true\nlisten = ['/ip4/127.0.0.1/tcp/0']\nmemory = true\nlog-level = 'error'\n[limits]\npeer-rate = 88\ntotal = 6000\n")
	changed := u.kdht("config", "reload").ok()
	for _, want := range []string{"limits.peer-rate: 77 → 88: holds now", "limits.total: 5000 → 6000: has no effect", "log-level: warn → error: holds now", "log.mdns: info → (nothing): holds now", "mdns: (nothing) → true: holds from the next start on"} {
		if !strings.Contains(changed, want) {
			t.Errorf("reload lacks %q:\n%s", want, changed)
		}
	}
	if got := u.kdht("throttle").ok(); !strings.Contains(got, "a peer     88 units/s") || !strings.Contains(got, "in total   9000 units/s") {
		t.Errorf("limits after a reload:\n%s", got)
	}
	u.write(".config/kdht/config.toml", "[limits]\npeer-rate = 99\n[log]\nmdns = 'loud'\n")
	u.kdht("config", "reload").fails(2, "mdns")
	u.write(".config/kdht/config.toml", "[limits]\npeer-rate = -1\n")
	u.kdht("config", "reload", "--config", "none").fails(2, "peer-rate")
	if got := u.kdht("throttle", "--config", "none").ok(); !strings.Contains(got, "a peer     88 units/s") {
		t.Errorf("a wrong file changed something:\n%s", got)
	}
	u.write(".config/kdht/config.toml", "listen = ['/ip4/127.0.0.1/tcp/0']\nmemory = true\n")
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	n.err.await(t, "was read anew")
	n.err.await(t, "limits.peer-rate: 88 → (nothing): holds now")
	if got := u.kdht("throttle").ok(); !strings.Contains(got, "a peer     500 units/s") {
		t.Errorf("limits that the file no longer has:\n%s", got)
	}
	u.logs(t)
}

// logs changes what the node that runs logs.
func (u *user) logs(t *testing.T) {
	if got := u.kdht("log", "level", "swarm2", "debug", "--json").object()["levels"].(map[string]any); got["swarm2"] != "debug" || got["net/identify"] == "debug" {
		t.Errorf("levels: %v", got)
	}
	if got := u.kdht("log", "level", "info").ok(); !strings.Contains(got, "swarm2 ") || strings.Contains(got, "debug") {
		t.Errorf("levels:\n%s", got)
	}
	u.kdht("log", "level", "swarm3", "debug").fails(2, "did you mean swarm2?")
	u.kdht("log", "level", "loud").fails(2, "there is no log level")
}

// What is wrong with a file is said in one line, with where it is and what was meant.
func TestConfigFilesThatAreWrong(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	for text, says := range map[string]string{
		"lisen = []":                       "there is no setting \"lisen\", did you mean listen?",
		"[limits]\npeer-rat = 1":           "did you mean limits.peer-rate?",
		"[limit]\npeer-rate = 1":           "did you mean limits.peer-rate?",
		"mode = ":                          "c.toml:1: ",
		"memory = 'perhaps'":               "memory: ",
		"mode = ['a', 'b']":                "mode: it takes one value",
		"listen = [1]":                     "listen: a list has texts",
		"listen = { a = 1 }":               "there is no setting \"listen.a\"",
		"[log]\nmdns = 3":                  "write the level of a subsystem",
		"[log]\nmdns = 'loud'":             "there is no log level",
		"[log]\nmdsn = 'info'":             "did you mean mdns?",
		"json = true":                      "there is no setting \"json\"",
		"name = '\x1b[2J'":                 "c.toml:1: ",
		strings.Repeat("# long\n", 10_000): "more than 64 KiB",
	} {
		u.kdht("run", "--config", u.write("c.toml", text)).fails(2, says)
	}
	u.kdht("run", "--limit", "peer-rates=1", "--memory", "--listen", "/ip4/127.0.0.1/tcp/0").fails(2, "did you mean peer-rate?")
	u.kdht("status", "--config", filepath.Join(u.home, "none.toml")).fails(2, "kdht config show --default")
	u.kdht("config", "show", "--config", "none").ok()
}

// The file that `config show --default` prints is one that is taken, with and without its comments.
func TestSampleConfig(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	sample := u.kdht("config", "show", "--default").ok()
	u.kdht("config", "show", "--config", u.write("c.toml", sample)).ok()
	root := (&app{}).root()
	table := ""
	var all strings.Builder
	for line := range strings.Lines(sample) {
		if strings.HasPrefix(line, "[") {
			table = line
			all.WriteString(line)
		}
		if rest, ok := strings.CutPrefix(line, "# "); ok && strings.Count(rest, " = ") == 1 && !strings.Contains(strings.Split(rest, " = ")[0], " ") {
			all.WriteString(rest)
		}
	}
	f, err := settings.Parse("sample", []byte(all.String()), (&app{}).known(root))
	if err != nil || len(f.Keys()) < 25 || table != "[log]\n" {
		t.Errorf("%v: %d keys of the sample:\n%s", err, len(f.Keys()), all.String())
	}
}
