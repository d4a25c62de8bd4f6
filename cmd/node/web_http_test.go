//go:build !nohttp

package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/config"
)

// fetch asks a running node over HTTP.
func fetch(t *testing.T, at, token string) (status int, body string) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), "GET", at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// webOf starts a node that serves HTTP and returns where, and its peer address.
func (u *user) webOf(args ...string) (at, addr string) {
	u.t.Helper()
	n := u.start(append(append([]string{"run"}, local...), args...)...)
	addr = strings.Fields(n.out.await(u.t, "/ip4/127.0.0.1"))[1]
	line := strings.Fields(n.out.await(u.t, "http  "))
	return line[1], addr
}

// A node tells an orchestrator that it lives, and whether it has joined and why not.
func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	at, first := u.webOf("--http", "0", "--name", "first")
	if status, body := fetch(t, at+"healthz", ""); status != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", status, body)
	}
	if status, body := fetch(t, at+"readyz", ""); status != 200 || !strings.Contains(body, "alone") {
		t.Errorf("the first node of a network: %d %q", status, body)
	}
	gone := closedPort(t) + "/p2p/" + strangerID
	lost, _ := u.webOf("--http", "on", "--name", "lost", "--bootstrap", gone)
	if status, body := fetch(t, lost+"readyz", ""); status != 503 || !strings.HasPrefix(body, "not ready: ") || strings.Count(body, "\n") != 1 || len(body) < 20 {
		t.Errorf("a node whose bootstrap peer is gone: %d %q", status, body)
	}
	if status, _ := fetch(t, lost+"healthz", ""); status != 200 {
		t.Errorf("it lives all the same: %d", status)
	}
	n := u.start(append(append([]string{"run", "--http", "0", "--name", "joined"}, local...), "--bootstrap", first)...)
	n.err.await(t, "joined")
	if status, body := fetch(t, strings.Fields(n.out.await(t, "http  "))[1]+"readyz", ""); status != 200 || !strings.Contains(body, "knows 1 peer") {
		t.Errorf("a node that has joined: %d %q", status, body)
	}
	if status, _ := fetch(t, at+"debug/pprof/", ""); status != 404 {
		t.Errorf("profiles nobody asked for: %d", status)
	}
}

// The operator of a node with a token shows it, and what is for operators includes the
// profiles.
func TestTokenOfANode(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	file := filepath.Join(u.home, "token")
	n := u.start(append(append([]string{"run"}, local...), "--http", "0", "--http-pprof", "--http-token-file", file)...)
	at := strings.Fields(n.out.await(t, "http  "))[1]
	n.out.await(t, "token    "+file)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(raw))
	for path, open := range map[string]bool{"healthz": true, "readyz": true, "metrics": false, "debug/pprof/": false, "debug/pprof/goroutine?debug=1": false, "": false} {
		if status, body := fetch(t, at+path, ""); (status == 200) != open || !open && !strings.Contains(body, file) {
			t.Errorf("%q without the token: %d %q", path, status, body)
		}
	}
	if status, body := fetch(t, at+"debug/pprof/goroutine?debug=1", token); status != 200 || !strings.Contains(body, "goroutine profile") {
		t.Errorf("profiles: %d %.100q", status, body)
	}
	if status, body := fetch(t, at+"metrics", token); status != 200 || !strings.Contains(body, "\nkdht_table_peers{") || !strings.Contains(body, "\nkdht_disk_refused 0\n") {
		t.Errorf("metrics: %d %.100q", status, body)
	}
}

// abroad is a listener that is not on loopback, as far as it says.
type abroad struct{ net.Listener }

func (abroad) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 5380} }

// Off loopback a node makes itself a token, beside its key, unless one is given.
func TestTokenIsMadeOffLoopback(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ given, data, file string }{
		{"", filepath.Join(dir, "data"), filepath.Join(dir, "data", "http-token")},
		{"", "", filepath.Join(dir, "key.http-token")},
		{filepath.Join(dir, "mine"), filepath.Join(dir, "data"), filepath.Join(dir, "mine")},
	} {
		w := &web{flags: &webFlags{tokenFile: c.given}, listener: abroad{}}
		if err := w.secure(&place{Identity: &config.Identity{KeyFile: filepath.Join(dir, "key")}, data: c.data}); err != nil || w.TokenFile != c.file || w.token == "" {
			t.Errorf("%+v: %q in %s (%v)", c, w.token, w.TokenFile, err)
		}
	}
}

func TestHTTPFailures(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	at, _ := u.webOf("--http", "0")
	taken := strings.TrimSuffix(strings.TrimPrefix(at, "http://"), "/")
	u.kdht("run", "--http", "nonsense").fails(2, "--http")
	u.kdht("run", "--http", taken).fails(1, "in use")
	if err := os.WriteFile(filepath.Join(u.home, "short"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	u.kdht("run", "--http", "0", "--http-token-file", "short").fails(1, "holds no HTTP token")
}
