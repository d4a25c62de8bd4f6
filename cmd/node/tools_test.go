package main

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Somebody looks at an overlay of 30 nodes, which runs all the time, with each tool that there is for it.
func TestTools(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	dev := u.start("dev", "-n", "30", "--bucket-size", "4", "--file", program)
	dev.out.await(t, "stays up")
	dev.out.await(t, "status --control")
	status := u.kdht("status", "--name", "dev", "--json").object()
	addr := status["addrs"].([]any)[0].(string) + "/p2p/" + status["id"].(string)
	t.Run("crawl", func(t *testing.T) { u.crawls(t, addr) })
	t.Run("trace", u.traces)
	t.Run("rpc", func(t *testing.T) { u.asks(t, addr, status["id"].(string)) })
	t.Run("bench", u.measures)
	t.Run("health", func(t *testing.T) {
		if out := u.kdht("health", "--name", "dev").ok(); !regexp.MustCompile(`(?m)^ok +peers +knows \d+ peers`).MatchString(out) {
			t.Errorf("health:\n%s", out)
		}
		if got := u.kdht("health", "--name", "dev", "--json").object(); got["health"] != "ok" || len(got["findings"].([]any)) < 4 {
			t.Errorf("health: %v", got)
		}
		if got := u.kdht("health", "--name", "dev", "--quiet"); got.ok() != "" {
			t.Errorf("quiet health says %q", got.out)
		}
	})
	u.kdht("log", "level", "--name", "dev").fails(2, "knows no operation")
}

func (u *user) crawls(t *testing.T, addr string) {
	table, image := filepath.Join(u.home, "peers.csv"), filepath.Join(u.home, "net.svg")
	got := u.kdht("crawl", "--name", "dev", "--csv", table, "--picture", image)
	for _, want := range []string{`ended +the whole network`, `peers +30: 30 answered, 0 did not, 0 were not asked`, `agents +30  kdht`, `tables +\d+ members in all; of one \d+ to \d+, median \d+`} {
		if !regexp.MustCompile(want).MatchString(got.ok()) {
			t.Errorf("no %s in:\n%s", want, got.out)
		}
	}
	file, err := os.Open(table)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) != 31 || rows[1][1] != "true" || rows[1][5] != "kdht" {
		t.Errorf("the table: %v, %d rows, %v", err, len(rows), rows[min(1, len(rows)-1)])
	}
	drawn, err := os.ReadFile(image)
	if err != nil || strings.Count(string(drawn), "<circle") != 30 {
		t.Errorf("the picture: %v, %d dots", err, strings.Count(string(drawn), "<circle"))
	}
	for d := xml.NewDecoder(strings.NewReader(string(drawn))); err == nil; {
		if _, err = d.Token(); err != nil && err != io.EOF {
			t.Errorf("the picture: %v", err)
		}
	}

	// From an address, with its edges: who is in a table is a peer of the network, too.
	all := u.kdht("crawl", "--bootstrap", addr, "--json", "--edges", "--parallel", "3").objects()
	peers, named := make(map[string]bool), 0
	for _, line := range all[:len(all)-1] {
		peers[line["peer"].(map[string]any)["id"].(string)] = true
	}
	for _, line := range all[:len(all)-1] {
		p := line["peer"].(map[string]any)
		for _, n := range p["neighbours"].([]any) {
			if named++; !peers[n.(string)] {
				t.Errorf("%v names a stranger, %v", p["id"], n)
			}
		}
		if p["whole"] != true || p["answered"] != true {
			t.Errorf("visit: %v", p)
		}
	}
	if end := all[len(all)-1]; len(peers) != 30 || end["peers"] != 30.0 || end["ended"] != "whole" || end["table_members"] != float64(named) {
		t.Errorf("%d peers, %d members of tables; %v", len(peers), named, end)
	}
	few := u.kdht("crawl", "--name", "dev", "--max-requests", "5", "--parallel", "1")
	if !strings.Contains(few.ok(), "the budget was used up") {
		t.Errorf("a small budget:\n%s", few.out)
	}
	u.kdht("crawl", "--bootstrap", "/ip4/127.0.0.1/tcp/1/p2p/"+strangerID).fails(4, "nobody answered")
	u.kdht("crawl", "--parallel", "0").fails(2, "give 1 or more")
	u.kdht("crawl", "--name", "dev", "--csv", "/nowhere/x").fails(2, "cannot make the file")
}

func (u *user) traces(t *testing.T) {
	got := u.kdht("trace", "--name", "dev", "hello").ok()
	for _, want := range []string{`ms  hop 1: asking …\w+, which shares \d+ bits, from the node's own table`, `…\w+ answered, \d+ new peer`, `\d+ requests, \d+ answered, 0 failed, 0 late; \d+ hops?; .*; nearest shares \d+ bits`} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
	all := u.kdht("trace", "--name", "dev", "--json", "--for", "peer", strings.TrimSpace(u.kdht("id", "--name", "dev").ok())).objects()
	if last := all[len(all)-1]; last["report"] == nil || last["key"] == nil {
		t.Errorf("trace of a peer: %v", last)
	}
	lines := u.kdht("trace", "--name", "dev", "--json", "another").objects()
	told := 0
	for _, l := range lines[:len(lines)-1] {
		if l["hop"] == nil || l["shared_bits"] == nil {
			t.Errorf("a step without its place: %v", l)
		}
		if l["told_by"] != "" {
			told++
		}
	}
	if len(lines) < 6 {
		t.Errorf("%d steps, %d of peers that others told of", len(lines), told)
	}
	key := strings.TrimSpace(u.kdht("put", "--name", "dev", "--text", "traced").ok())
	if got := u.kdht("trace", "--name", "dev", "--for", "value", key); !strings.Contains(got.ok(), "has the value") {
		t.Errorf("trace of a value:\n%s", got.out)
	}
	u.kdht("trace", "--name", "dev", "--for", "gold", "x").fails(2, "--for")
	u.kdht("trace", "--name", "dev", "--for", "providers", "x").fails(2, "CID")
}

func (u *user) asks(t *testing.T, addr, id string) {
	if got := u.kdht("rpc", "ping", addr, "--hex"); !strings.Contains(got.ok(), "sent      08055001\nreceived  08055001\ntype      PING\n") || !strings.Contains(got.stderr, "answered in") {
		t.Errorf("ping:\n%s%s", got.out, got.stderr)
	}
	got := u.kdht("rpc", "FIND_NODE", addr, "hello", "--codec", "json", "--json", "--hex").object()
	closer := got["answer"].(map[string]any)["closerPeers"].([]any)
	if len(closer) != 4 || got["sent"].(string)[:4] != "7b22" || got["received"].(string)[:4] != "7b22" { // {"
		t.Errorf("find-node by JSON: %v", got)
	}
	if out := u.kdht("rpc", "find-node", addr, "hello").ok(); strings.Count(out, "\ncloser    12D3KooW") != 4 || !strings.Contains(out, "/ip4/127.0.0.1/tcp/") {
		t.Errorf("find-node:\n%s", out)
	}
	sum := "/imm/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	if out := u.kdhtWith("hello", "rpc", "put-value", addr, sum, "-").ok(); !strings.Contains(out, "value     hello") {
		t.Errorf("put-value: %q", out)
	}
	if out := u.kdht("rpc", "get-value", addr, sum).ok(); !strings.Contains(out, "value     hello\n") {
		t.Errorf("get-value: %q", out)
	}
	u.kdhtWith("bye", "rpc", "put-value", addr, sum, "-").fails(1, "refused PUT_VALUE")
	if out := u.kdht("rpc", "get-providers", addr, "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq").ok(); !strings.Contains(out, "type      GET_PROVIDERS") {
		t.Errorf("get-providers: %q", out)
	}
	wrong := strings.TrimSuffix(addr, id) + strangerID
	u.kdht("rpc", "ping", wrong).fails(1, "another peer answers there")
	u.kdht("rpc", "ping", addr, "--protocol-prefix", "/other").fails(1, "does not serve /other/kad/1.0.0")
	u.kdht("rpc", "ping", addr, "--network", "amino").fails(2, "outside a public network")
	u.kdht("rpc", "ping", "/ip4/127.0.0.1/tcp/1/p2p/"+strangerID).fails(1, "nothing listens there")
	u.kdht("rpc", "ping", addr, "more").fails(2, "other arguments")
	u.kdht("rpc", "sing", addr).fails(2, "there is no request")
	u.kdht("rpc", "ping", id).fails(2, "says not where")
	u.kdht("rpc", "ping", addr, "--codec", "cbor").fails(2, "there is no codec")
}

func (u *user) measures(t *testing.T) {
	got := u.kdht("bench", "--name", "dev", "-n", "5", "--json").object()
	steps := got["bench"].([]any)
	var names []string
	for _, s := range steps {
		m := s.(map[string]any)
		names = append(names, m["step"].(string))
		if m["count"] != 5.0 || m["failed"] != 0.0 || m["p50_ms"].(float64) <= 0 || m["p50_ms"].(float64) > m["max_ms"].(float64) || m["requests"].(float64) <= 0 {
			t.Errorf("measured: %v", m)
		}
	}
	if !slices.Equal(names, benchSteps) {
		t.Errorf("measured %v", names)
	}
	if s := u.kdht("status", "--name", "dev", "--json").object(); s["providing"] != 0.0 {
		t.Errorf("after a bench %v keys are announced again", s["providing"])
	}
	if out := u.kdht("bench", "--name", "dev", "-n", "2", "--only", "put").ok(); strings.Count(out, "\n") != 2 || !strings.Contains(out, "p99") {
		t.Errorf("bench:\n%s", out)
	}
	u.kdht("bench", "--only", "dig").fails(2, "there is no")
	u.kdht("bench", "--count", "0").fails(2, "--count is 1 to")
}

func TestPercentile(t *testing.T) {
	var values []float64
	for i := range 100 {
		values = append(values, float64(i+1))
	}
	for p, want := range map[int]float64{50: 50, 90: 90, 99: 99, 100: 100} {
		if got := percentile(values, p); got != want {
			t.Errorf("p%d of 1..100 is %v", p, got)
		}
	}
	if got := percentile([]float64{7}, 50); got != 7 {
		t.Errorf("p50 of one value is %v", got)
	}
}

// Keys are made, shown, taken over from other programs, and never replaced.
func TestKeys(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	file := filepath.Join(u.home, "k")
	made := u.kdht("key", "gen", file, "--json").object()
	if shown := u.kdht("key", "show", file, "--json").object(); shown["id"] != made["id"] || shown["type"] != "Ed25519" || made["public"] == "" {
		t.Errorf("made %v, shown %v", made, shown)
	}
	if id := strings.TrimSpace(u.kdht("id", "--key", file).ok()); id != made["id"] {
		t.Errorf("the id is %s", id)
	}
	u.kdht("key", "gen", file).fails(1, "there is a key")
	private := u.kdht("key", "show", "--private", file).ok()
	if strings.Contains(u.kdht("key", "show", file).ok(), strings.TrimSpace(private)) {
		t.Error("the private key is shown unasked")
	}
	again := u.kdhtWith(private, "key", "import", "-", file+"2", "--json").object()
	if again["id"] != made["id"] {
		t.Errorf("imported from base64: %v, want %v", again, made)
	}
	if info, err := os.Stat(file + "2"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info.Mode(), err)
	}
	const pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"
	if got := u.kdhtWith(pem, "key", "import", "-", file+"3", "--json").object(); got["type"] != "Ed25519" {
		t.Errorf("imported from PEM: %v", got)
	}
	u.kdhtWith("no key", "key", "import", "-", file+"4").fails(2, "no private key")
	u.kdht("key", "show", file+"4").fails(1, "there is no key")
	u.kdht("key", "gen", "--type", "dsa", file+"4").fails(2, "there is no kind of key")
	if got := u.kdht("key", "gen", "--name", "mine", "--json").object(); !strings.HasSuffix(got["file"].(string), "/mine/key") {
		t.Errorf("the key of a name: %v", got)
	}
	if _, err := json.Marshal(made); err != nil {
		t.Fatal(err)
	}
}
