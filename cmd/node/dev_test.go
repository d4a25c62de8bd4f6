package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestDevOnce(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	file := filepath.Join(u.home, "README.md") // found without --file
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := u.kdht("dev", "--once").ok()
	for _, want := range []string{
		`20 nodes are up`,
		`Node 2 \(…\w+\) stores \d+ bytes\n   under /imm/[0-9a-f]{64}\n   stored on 4 nodes: \d+, \d+, \d+, \d+ `,
		`ms  hop 1: asking node \d+\n`,
		`ms  node \d+ answered, \d+ new peers?\n`,
		`ms  node \d+ has the value\n`,
		`found in \d+ hops?, [\d.]+ ms: "hello from 12D3Koo`,
		`announces that it has README.md\n   as bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq\n   announced on 4 nodes`,
		`found in \d+ hops?, [\d.]+ ms: node 3 \(…\w+\) has it, at /ip4/127.0.0.1/`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s in:\n%s", want, out)
		}
	}
}

func TestDevOnceJSON(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	steps := map[string]map[string]any{}
	hops := 0
	for _, line := range u.kdht("dev", "--once", "--json", "-n", "12", "--file", program).objects() {
		if step, ok := line["step"].(string); ok {
			steps[step] = line
		}
		if line["hop"] != nil {
			hops++
		}
	}
	for _, step := range []string{"stored", "found", "provided", "provider-found"} {
		report, _ := steps[step]["report"].(map[string]any)
		if report == nil || report["hops"].(float64) < 1 || len(report["holders"].([]any)) == 0 {
			t.Errorf("step %s: %v", step, steps[step])
		}
	}
	if steps["up"]["nodes"] != 12.0 || hops < 4 {
		t.Errorf("%d hops; up: %v", hops, steps["up"])
	}
}

func TestDevFails(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.kdht("dev", "--once", "--timeout", "1ms", "--file", program).fails(5, "--timeout")
}

func TestDevStaysUp(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	d := u.start("dev", "-n", "3", "--file", program)
	join := strings.Fields(d.out.await(t, "kdht run --bootstrap "))[2:]
	d.out.await(t, " status --control ")
	n, _ := u.node(join...)
	n.err.await(t, "joined")
	key := strings.TrimSpace(u.kdht("put", "--text", "from outside").ok())
	if got := u.kdht("get", key, "--name", "dev").ok(); got != "from outside" {
		t.Errorf("got %q", got)
	}
	if code := d.end(os.Interrupt); code != 130 {
		t.Errorf("Ctrl-C: ended with %d", code)
	}
	if got := u.kdht("get", key).ok(); got != "from outside" {
		t.Errorf("after the overlay is gone: %q", got)
	}
}
