package main

import (
	"strings"
	"testing"
)

// An operator looks at a node's limits, tightens them, sees whom they hold back,
// and lets that one go.
func TestThrottle(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.pair()
	other := strings.TrimSpace(u.kdht("id", "--name", "node-2").ok())
	throttle := func(args ...string) *result {
		return u.kdht(append([]string{"throttle", "--name", "node"}, args...)...)
	}
	if got := throttle().ok(); !strings.Contains(got, "a peer     500 units/s, 1000 at once, 1000000 bytes/s of answers") ||
		!strings.Contains(got, "held back  nobody") || !strings.Contains(got, "in total   no limit") || strings.Contains(got, "requests   0 served") {
		t.Errorf("before:\n%s", got)
	}
	set := u.kdht("throttle", "set", "--name", "node", "--peer-rate", "0.001", "--peer-burst", "1", "--total", "50", "--near", "8", "--bursts", "70", "--workers", "3").ok()
	for _, says := range []string{"a peer     0.001 units/s, 1 at once", "/24 or /56: 8 peers' worth; /16 or /48: no limit", "in total   50 units/s, 500 at once", "bursts     of all peers together 70 units/s", "workers    3,"} {
		if !strings.Contains(set, says) {
			t.Errorf("set lacks %q:\n%s", says, set)
		}
	}
	u.kdht("closest", "--name", "node-2", "anything").ok() // one request costs more than the whole burst
	got := throttle("--json").object()
	limits, held := got["limits"].(map[string]any), got["limited"].([]any)
	if limits["peer_rate"] != 0.001 || limits["total_rate"] != 50.0 || limits["near"] != 8.0 || got["workers"] != 3.0 {
		t.Errorf("limits: %v", got)
	}
	if len(held) != 1 {
		t.Fatalf("held back: %v", held)
	}
	first := held[0].(map[string]any)
	if first["peer"] != other || first["reason"] != "peer" || first["paused"].(float64) < 1 || first["level"].(float64) >= 0 || first["wait_ms"].(float64) <= 0 {
		t.Errorf("held back: %v", first)
	}
	if requests := got["requests"].(map[string]any); requests["paused"].(float64) < 1 || requests["served"].(float64) < 1 {
		t.Errorf("requests: %v", requests)
	}
	if streams := got["streams"].(map[string]any); streams["accepted"].(float64) < 1 {
		t.Errorf("streams: %v", streams)
	}
	if text := throttle().ok(); !strings.Contains(text, "\n"+other+"  peer") || !strings.Contains(text, "units in debt") {
		t.Errorf("held back:\n%s", text)
	}
	if none := throttle("--json", "--top", "0").object()["limited"].([]any); len(none) != 0 {
		t.Errorf("--top 0: %v", none)
	}
	u.kdht("throttle", "set", "--name", "node", "--peer-rate", "500").ok() // the debt stays: a second or two of it
	if out := u.kdht("throttle", "release", "--name", "node", other).ok(); out != "released "+other+"\n" {
		t.Errorf("release: %q", out)
	}
	if text := throttle().ok(); !strings.Contains(text, "held back  nobody") {
		t.Errorf("released:\n%s", text)
	}
	for _, who := range []string{strangerID, "192.0.2.9/24"} {
		if released := u.kdht("throttle", "release", "--name", "node", "--json", who).object(); released["held"] != false {
			t.Errorf("release of %s: %v", who, released)
		}
	}
	u.kdht("throttle", "release", "--name", "node", "nonsense").fails(2, "neither a peer id nor a subnet")
	u.kdht("throttle", "set", "--name", "node", "--workers", "-1").fails(2, "workers")
	u.kdht("throttle", "set", "--name", "node", "--total", "0", "--egress", "0").ok()
	if text := throttle().ok(); !strings.Contains(text, "in total   no limit") || !strings.Contains(text, "any number of bytes") {
		t.Errorf("lifted:\n%s", text)
	}
}
