package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// fileOf returns a file of deploy/.
func fileOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// caught returns what a pattern's group catches in text.
func caught(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing is like %s in:\n%s", pattern, text)
	}
	return m[1]
}

// A container's command and its health check, with the container's variables and no home.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	file, u := fileOf(t, "docker/Dockerfile"), newUser(t)
	u.env = nil
	data := filepath.Join(u.home, "d")
	for _, set := range strings.Fields(caught(t, file, `(?m)^ENV (.*)$`)) {
		u.env = append(u.env, strings.NewReplacer("=/data", "="+data, "=/run", "="+u.home).Replace(set))
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	command := func(pattern string) (args []string) {
		if err := json.Unmarshal([]byte(caught(t, file, pattern)), &args); err != nil || args[0] != "/kdht" {
			t.Fatalf("%q: %v", args, err)
		}
		return args[1:]
	}
	n := u.start(append(command(`(?m)^ENTRYPOINT (.*)$`), local...)...)
	n.out.await(t, "control  "+filepath.Join(u.home, "kdht.sock"))
	health := command(`HEALTHCHECK .*CMD (.*)\n`)
	u.kdht(health...).ok()
	if _, err := os.Stat(filepath.Join(data, "key")); err != nil {
		t.Error(err)
	}
	if code := n.end(syscall.SIGTERM); code != 0 {
		t.Errorf("ended with %d", code)
	}
	if again := u.kdht(health...); again.code == 0 {
		t.Error("a node that is gone is well")
	}
}

// The service's command, with what systemd would put for its variables and the config file
// that goes with it.
func TestServiceUnit(t *testing.T) {
	t.Parallel()
	unit, u := fileOf(t, "systemd/kdht.service"), newUser(t)
	places := map[string]string{"CREDENTIALS_DIRECTORY": "c", "STATE_DIRECTORY": "s", "RUNTIME_DIRECTORY": "r"}
	line := caught(t, unit, `(?m)^ExecStart=/usr/local/bin/kdht (.*)$`)
	for name, dir := range places {
		path := filepath.Join(u.home, dir)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		u.env = append(u.env, name+"="+path)
		if !strings.Contains(line, "${"+name+"}") {
			t.Errorf("the command does not use %s", name)
		}
		line = strings.ReplaceAll(line, "${"+name+"}", path)
	}
	config := filepath.Join(u.home, "kdht.toml")
	if err := os.WriteFile(config, []byte(fileOf(t, "systemd/kdht.toml")), 0o600); err != nil {
		t.Fatal(err)
	}
	line = strings.ReplaceAll(line, "/etc/kdht/kdht.toml", config)
	u.kdht("key", "gen", filepath.Join(u.home, "c", caught(t, unit, `(?m)^LoadCredential=(\w+):`))).ok()

	m := newManager(t, u)
	n := u.start(append(strings.Fields(line), local...)...)
	m.hears("READY=1\n")
	socket := caught(t, line, `--control (\S+)`)
	u.kdht("status", "--control", socket).ok()
	if shown := u.kdht("throttle", "--control", socket).ok(); !strings.Contains(shown, "500") {
		t.Errorf("the limits of the config file do not hold:\n%s", shown)
	}
	if code := n.end(syscall.SIGTERM); code != 0 {
		t.Errorf("ended with %d", code)
	}
	for _, set := range []string{
		"Type=notify", "DynamicUser=yes", "StateDirectory=kdht", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict",
		"ProtectHome=yes", "PrivateDevices=yes", "MemoryDenyWriteExecute=yes", "RestrictNamespaces=yes",
	} {
		if !strings.Contains(unit, "\n"+set+"\n") {
			t.Errorf("the unit lacks %s", set)
		}
	}
}
