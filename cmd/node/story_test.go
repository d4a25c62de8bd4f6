package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// local are the arguments that keep a node on loopback.
var local = []string{"--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"}

// node starts a node and returns it with the line that starts another.
func (u *user) node(args ...string) (*running, []string) {
	u.t.Helper()
	n := u.start(append(append([]string{"run"}, local...), args...)...)
	line := strings.Fields(n.out.await(u.t, "kdht run --bootstrap "))
	return n, line[2:]
}

// pair starts two nodes, the second by the line that the first printed.
func (u *user) pair() (first, second *running, join []string) {
	u.t.Helper()
	first, join = u.node()
	second, _ = u.node(join...)
	second.err.await(u.t, "joined, knows 1 peer")
	return first, second, join
}

func TestTwoShells(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	first, second, join := u.pair()
	second.err.await(t, `so this one is "node-2"`)
	file := filepath.Join(u.home, "file")
	if err := os.WriteFile(file, []byte("a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(u.kdht("id").ok())
	if id2 := strings.TrimSpace(u.kdht("id", "--name", "node-2").ok()); id == id2 {
		t.Fatalf("both nodes are %s", id)
	}

	// Stored by one, found by the other.
	key := strings.TrimSpace(u.kdht("put", file).ok())
	if got := u.kdht("get", "--quorum", "0", "--name", "node-2", key); got.ok() != "a file\n" || !strings.Contains(got.stderr, "1 request, 1 answered, 0 failed; 1 hop") {
		t.Errorf("got %q, %q", got.out, got.stderr)
	}
	piped := strings.TrimSpace(u.kdhtWith("\x00\xff", "put", "-", "--name", "node-2").ok())
	if got := u.kdht("get", piped).ok(); got != "\x00\xff" {
		t.Errorf("through a pipe came %q", got)
	}
	mut := strings.TrimSpace(u.kdht("put", "--mut", "state", "--text", "one").ok())
	if mut != "/mut/"+id+"/state" {
		t.Errorf("signed under %s", mut)
	}
	u.kdht("put", "--mut", "state", "--text", "two").ok()
	if got := u.kdht("get", mut, "--name", "node-2").ok(); got != "two" {
		t.Errorf("the newer value is %q", got)
	}
	envelope := u.kdht("get", "--raw", mut).ok()
	u.kdhtWith(envelope, "put", "--name", "node-2", "--key", mut, "-").ok() // as it is, by another

	// Announced by one, found by the other, and by a client that comes and goes.
	c := strings.TrimSpace(u.kdht("provide", file).ok())
	if got := u.kdhtWith(file+"\n\n"+c+"\n", "provide", "-").ok(); got != c+"\n"+c+"\n" {
		t.Errorf("announced from a list: %q", got)
	}
	if r := u.kdhtWith("no/such/file\n"+c, "provide", "-"); r.code != 1 || r.out != c+"\n" || !strings.Contains(r.stderr, "line 1: ") || !strings.Contains(r.stderr, "1 of 2 were not announced") {
		t.Errorf("a list with what is not there ended with %d, %q, %q", r.code, r.out, r.stderr)
	}
	for _, via := range [][]string{{"--name", "node-2"}, append([]string{"--trace"}, join...)} {
		got := u.kdht(append([]string{"find-providers", c}, via...)...).ok()
		if !strings.HasPrefix(got, id+" /ip4/127.0.0.1/") || strings.Count(got, "\n") != 1 {
			t.Errorf("providers via %q: %q", via, got)
		}
	}

	// One is killed; the other answers on, and is found without a name.
	if code := first.end(os.Kill); code != -1 {
		t.Errorf("killed, ended with %d", code)
	}
	u.kdht("status", "--name", "node").fails(1, "is gone")
	if got := u.kdht("get", key).ok(); got != "a file\n" {
		t.Errorf("after the first is dead: %q", got)
	}
	if got := u.kdht("find-providers", c).ok(); !strings.HasPrefix(got, id) {
		t.Errorf("after the first is dead: %q", got)
	}

	// The dead one comes back as who it was, over its own stale socket.
	addr := strings.Fields(u.kdht("find-peer", strings.TrimSpace(u.kdht("id").ok())).ok())[0]
	again, _ := u.node("--bootstrap", addr)
	again.err.await(t, "joined")
	if got := strings.TrimSpace(u.kdht("id", "--name", "node").ok()); got != id {
		t.Errorf("came back as %s, was %s", got, id)
	}
	if got := u.kdht("get", "--name", "node", key).ok(); got != "a file\n" {
		t.Errorf("after it is back: %q", got)
	}
	if code := again.end(os.Interrupt); code != 130 {
		t.Errorf("Ctrl-C: ended with %d", code)
	}
	if code := second.end(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: ended with %d", code)
	}
	if left, _ := filepath.Glob(filepath.Join(u.home, "run", "kdht", "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLookingAround(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	_, _, join := u.pair()
	id := strings.TrimSpace(u.kdht("id").ok())
	other := strings.TrimSpace(u.kdht("id", "--name", "node-2").ok())
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"status"}, []string{"id         " + id, "mode       server", "profile    private", "/kdht/kad/1.0.0", "knows      1 peer"}},
		{[]string{"table"}, []string{"PREFIX", other, "yes"}},
		{[]string{"closest", "anything"}, []string{other}},
		{[]string{"closest", "anything", join[0], join[1]}, []string{other, id}},
		{[]string{"find-peer", other}, []string{"/ip4/127.0.0.1/tcp/", "/p2p/" + other}},
		{[]string{"ping", other}, []string{other + " ", "ms"}},
		{[]string{"ping", "--name", "node-2", join[1]}, []string{id + " "}},
		{[]string{"ping", "-n", "2", "--pause", "1ms", other}, []string{other + " "}},
		{[]string{"id", "--key", filepath.Join(u.home, ".local/state/kdht/node/key")}, []string{id}},
		{[]string{"status", join[0], join[1]}, []string{"mode       client"}},
	} {
		got := u.kdht(c.args...).ok()
		for _, says := range c.says {
			if !strings.Contains(got, says) {
				t.Errorf("kdht %q lacks %q:\n%s", c.args, says, got)
			}
		}
	}
	// A command that goes on is interrupted.
	pinging := u.start("ping", "-n", "100000", "--pause", "1h", "--timeout", "2h", other)
	pinging.out.await(t, other)
	if code := pinging.end(os.Interrupt); code != 130 {
		t.Errorf("Ctrl-C during ping: ended with %d", code)
	}
	// A client signs with the key of the user's node, or with one that is given.
	if got := u.kdht("put", "--mut", "x", "--text", "y", join[0], join[1]).ok(); got != "/mut/"+id+"/x\n" {
		t.Errorf("signed under %s", got)
	}
	if got := u.kdht("put", "--mut", "x", "--text", "y", "--sign-with", filepath.Join(u.home, ".local/state/kdht/node-2/key"), join[0], join[1]).ok(); got != "/mut/"+other+"/x\n" {
		t.Errorf("signed under %s", got)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	_, _, join := u.pair()
	json := func(args ...string) *result { return u.kdht(append(args, "--json")...) }
	put := json("put", "--text", "hello").object()
	if put["key"] == "" || put["size"] != 5.0 || put["report"].(map[string]any)["holders"] == nil {
		t.Errorf("put: %v", put)
	}
	key := put["key"].(string)
	got := json("get", "--quorum", "0", key).object()
	if got["value"] != "hello" || got["value_base64"] != "aGVsbG8=" || got["report"].(map[string]any)["answered"] != 1.0 {
		t.Errorf("get: %v", got)
	}
	binary := strings.TrimSpace(u.kdhtWith("\xff", "put", "-").ok())
	if got := json("get", binary).object(); got["value"] != nil || got["value_base64"] != "/w==" {
		t.Errorf("get of what is no text: %v", got)
	}
	traced := json("get", "--trace", key, join[0], join[1]).objects()
	if len(traced) < 3 || traced[0]["hop"] == nil || traced[len(traced)-1]["value"] != "hello" {
		t.Errorf("get --trace: %v", traced)
	}
	mut := strings.TrimSpace(u.kdht("put", "--mut", "m", "--text", "x").ok())
	if got := json("get", mut).object(); got["sequence"] == nil || got["expires"] == nil || got["value"] != "x" {
		t.Errorf("get of a signed value: %v", got)
	}
	cid := json("provide", program).object()["cid"].(string)
	found := json("find-providers", cid, "--name", "node-2").objects()
	if len(found) != 2 || found[0]["provider"] == nil || found[1]["count"] != 1.0 || found[1]["cid"] != cid {
		t.Errorf("find-providers: %v", found)
	}
	self := json("id").object()
	other := json("id", "--name", "node-2").object()["id"].(string)
	if self["running"] != true || len(self["addrs"].([]any)) == 0 {
		t.Errorf("id: %v", self)
	}
	for _, args := range [][]string{{"find-peer", other}, {"ping", other}} {
		if got := json(args...).object(); got["id"] != other {
			t.Errorf("%q: %v", args, got)
		}
	}
	if got := json("closest", "x").object()["peers"].([]any); len(got) != 1 {
		t.Errorf("closest: %v", got)
	}
	if got := json("table").object(); got["peers"] != 1.0 {
		t.Errorf("table: %v", got)
	}
	status := json("status").object()
	if status["mode"] != "server" || status["values"].(float64) < 2 || status["providing"] != 1.0 {
		t.Errorf("status: %v", status)
	}
	failed := json("get", "/imm/00")
	if want := `{"error":{"kind":"not_found","message":`; failed.code != 3 || !strings.HasPrefix(failed.stderr, want) || failed.out != "" {
		t.Errorf("failed: %d %q %q", failed.code, failed.out, failed.stderr)
	}
}

func TestRunJSON(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	n := u.start(append([]string{"run", "--json", "--control", filepath.Join(u.home, "s"), "--key", filepath.Join(u.home, "key")}, local...)...)
	line := n.out.await(t, "{")
	for _, want := range []string{`"id":"12D3Koo`, `"addrs":["/ip4/127.0.0.1/tcp/`, `"control":"` + u.home + `/s"`, `"join":["` + program + ` run --bootstrap /ip4/127.0.0.1/`} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
	if mode := u.kdht("status", "--json", "--control", filepath.Join(u.home, "s")).object()["mode"]; mode != "server" {
		t.Errorf("mode %v", mode)
	}
	info, err := os.Stat(filepath.Join(u.home, "s"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the control socket: %v, %v", info.Mode(), err)
	}
	u.kdht("run", "--key", filepath.Join(u.home, "key")).fails(1, "in use by a running node")
	u.kdht("run", "--control", filepath.Join(u.home, "s")).fails(1, "another node is served")
	if code := n.end(syscall.SIGTERM); code != 0 {
		t.Errorf("ended with %d", code)
	}
	if lines := n.out.all; len(lines) != 1 || slices.ContainsFunc(n.err.all, func(s string) bool { return s != "" }) {
		t.Errorf("wrote %q and %q", lines, n.err.all)
	}
}
