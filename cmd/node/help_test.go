package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/spf13/cobra"
)

func TestCompletion(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := u.kdht("completion", shell).ok(); !strings.Contains(out, "kdht") || len(out) < 1000 {
			t.Errorf("%s: %.200q", shell, out)
		}
	}
	if out := u.kdht("__complete", "run", "--profile", "").ok(); !strings.Contains(out, "public\n") {
		t.Errorf("profiles:\n%s", out)
	}
	if out := u.kdht("__complete", "run", "--network", "").ok(); !strings.Contains(out, "dual\n") {
		t.Errorf("networks:\n%s", out)
	}
	if out := u.kdht("__complete", "run", "--mode", "").ok(); !strings.Contains(out, "auto-server\n") {
		t.Errorf("modes: %q", out)
	}
	if out := u.kdht("__complete", "find-").ok(); !strings.Contains(out, "find-providers") || !strings.Contains(out, "find-peer") {
		t.Errorf("commands: %q", out)
	}
}

// Every command explains itself in lines that fit a terminal.
func TestHelp(t *testing.T) {
	a := &app{stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, getenv: func(string) string { return "" }}
	root := a.root()
	commands := append([]*cobra.Command{root}, root.Commands()...)
	if len(commands) < 13 {
		t.Fatalf("%d commands", len(commands))
	}
	for _, cmd := range commands {
		if cmd.Short == "" || cmd != root && cmd.GroupID == "" && !cmd.Hidden {
			t.Errorf("%s has no summary or group", cmd.Name())
		}
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			if len(line) > 100 {
				t.Errorf("%s: a line of %d bytes: %s", cmd.Name(), len(line), line)
			}
		}
	}
}

func TestEnvironment(t *testing.T) {
	run := func(env map[string]string, args ...string) (int, string) {
		var out, stderr bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &stderr, getenv: func(name string) string { return env[name] }}
		return a.main(context.Background(), args), stderr.String()
	}
	for _, c := range []struct {
		env  map[string]string
		args string
		code int
		says string
	}{
		{map[string]string{"KDHT_CONTROL": "/nowhere/from-env"}, "status", 1, "/nowhere/from-env"},
		{map[string]string{"KDHT_CONTROL": "/nowhere/from-env"}, "status --control /nowhere/from-flag", 1, "/nowhere/from-flag"},
		{map[string]string{"KDHT_LOG": "loud"}, "status", 2, "loud"},
		{map[string]string{"KDHT_TIMEOUT": "long"}, "status", 2, "$KDHT_TIMEOUT"},
		{map[string]string{"KDHT_NAME": "Bad", "HOME": "/nowhere"}, "status", 2, "Bad"},
		{nil, "status", 1, "--key FILE and --control PATH"},
	} {
		if code, stderr := run(c.env, strings.Fields(c.args)...); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v kdht %s: %d, want %d; %q lacks %q", c.env, c.args, code, c.code, stderr, c.says)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for kind, code := range map[control.Kind]int{
		control.Failed: 1, control.Usage: 2, control.NotFound: 3, control.NoPeers: 4, control.Timeout: 5, control.Interrupted: 130, "unknown": 1,
	} {
		if got := exitCode(kind); got != code {
			t.Errorf("%s: %d, want %d", kind, got, code)
		}
	}
}

func TestCalledAs(t *testing.T) {
	for name, want := range map[string]string{
		"kdht": "kdht", "./kdht": "./kdht", "/usr/bin/kdht": "/usr/bin/kdht",
		"/var/go-build12/b001/exe/node": "go run ./cmd/node", "/my files/kdht": "kdht", "": "kdht",
	} {
		if got := calledAs(name); got != want {
			t.Errorf("called as %q: %q, want %q", name, got, want)
		}
	}
}
