package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht"
	"github.com/kdht/kdht/host/build"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	web = "../../cmd/node/internal/dashboard/web"
	// content is some that nobody has: it is announced all the same.
	content = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
	nodes   = 20
)

// asked tells whether the browser is asked for; a plain `go test ./...` leaves it to the step of
// .ci/run that asks.
func asked(t *testing.T) bool {
	if os.Getenv("KDHT_DASHBOARD") == "1" {
		return true
	}
	t.Log("not asked for: KDHT_DASHBOARD=1 opens the dashboard in a browser, see README.md")
	return false
}

// The page in the program is what its sources make.
func TestPageIsOfItsSources(t *testing.T) {
	if !asked(t) {
		return
	}
	dir := installed(t, web, "build.mjs", "tsconfig.json", "src")
	run(t, time.Minute, dir, "npm", "run", "--silent", "check")
	made := filepath.Join(dir, "made")
	run(t, time.Minute, dir, "node", "build.mjs", made)
	names, err := os.ReadDir(made)
	if err != nil || len(names) < 4 {
		t.Fatalf("%d files are made (%v)", len(names), err)
	}
	committed, err := os.ReadDir(filepath.Join(web, "..", "assets"))
	if err != nil || len(committed) != len(names) {
		t.Errorf("%d files are committed, %d are made (%v)", len(committed), len(names), err)
	}
	for _, f := range names {
		want, _ := os.ReadFile(filepath.Join(made, f.Name()))
		got, err := os.ReadFile(filepath.Join(web, "..", "assets", f.Name()))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("assets/%s is not what web/ makes (%v): run npm run build there, and commit both", f.Name(), err)
		}
	}
}

// An operator finds everything on the page of one of twenty nodes.
func TestPageInABrowser(t *testing.T) {
	if !asked(t) {
		return
	}
	chromium := findChromium(t)
	browser := installed(t, "browser", "look.mjs")
	shots := os.Getenv("KDHT_SCREENSHOTS")
	if shots == "" {
		shots = cache(t, "screenshots")
	}
	n := serve(t)
	others := join(t, n.addr)
	t.Run("guarded", func(t *testing.T) { guarded(t, n) })
	held := hold(t, n, others[0])
	stir(t, others[1:])
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "look.mjs", n.http, chromium, shots, held.String(), content)
	cmd.Dir, cmd.WaitDelay = browser, 5*time.Second
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	checks := 0
	for line := range bytes.Lines(out) {
		var c struct{ Check, Error string }
		if json.Unmarshal(line, &c) != nil || c.Check == "" {
			t.Logf("%s", line)
			continue
		}
		checks++
		t.Run(c.Check, func(t *testing.T) {
			if c.Error != "" {
				t.Error(c.Error)
			}
		})
	}
	if err != nil || checks < 22 {
		t.Errorf("the browser ended after %d checks: %v (%v)\n%s", checks, err, ctx.Err(), complaints.String())
	}
	t.Logf("screenshots are in %s", shots)
}

// findChromium returns the browser. One that is not there is a failure: who asks for this test
// wants it.
func findChromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("KDHT_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium is installed: apt-get install chromium, or name one with KDHT_CHROMIUM")
	return ""
}

// served is the node whose page is opened.
type served struct {
	program, home string
	addr          peer.AddrInfo
	http          string
}

// command is one of the program's on the node.
func (s *served) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+s.home, "XDG_RUNTIME_DIR="+s.home)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// serve starts the node.
func serve(t *testing.T) *served {
	t.Helper()
	s := &served{home: t.TempDir()}
	s.program = filepath.Join(t.TempDir(), "kdht")
	run(t, 5*time.Minute, "../..", "go", "build", "-o", s.program, "./cmd/node")
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := s.command(ctx, "run", "--json", "--memory", "--http", "0", "--listen", "/ip4/127.0.0.1/tcp/0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the node said: %s", complaints.String())
		}
	})
	var told struct {
		Addrs []string
		HTTP  string
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&told); err != nil || told.HTTP == "" || len(told.Addrs) == 0 {
		t.Fatalf("the node tells %+v (%v)", told, err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	addr, err := peer.AddrInfoFromString(told.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	s.addr, s.http = *addr, told.HTTP
	return s
}

// join starts the other nodes, and waits until they know each other.
func join(t *testing.T, first peer.AddrInfo) (all []*kdht.DHT) {
	t.Helper()
	for range nodes - 1 {
		h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		d, err := kdht.New(h, kdht.BootstrapPeers(first))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		all = append(all, d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, d := range all {
		if err := d.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		if err := d.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// hold has the node hold d back, and returns its id.
func hold(t *testing.T, n *served, d *kdht.DHT) peer.ID {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	set := func(rate string) {
		if out, err := n.command(ctx, "throttle", "set", "--peer-rate", rate).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	set("1")
	for i := 0; ; i++ {
		err := d.Ping(ctx, n.addr.ID)
		out, failed := n.command(ctx, "throttle", "--json").Output()
		if failed == nil && strings.Contains(string(out), d.ID().String()) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("after %d pings nobody is held back: %v, %v\n%s", i, err, failed, out)
		}
	}
	set("500")
	return d.ID()
}

// stir has the others look for things now and then, so that there is something to see.
func stir(t *testing.T, all []*kdht.DHT) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		pause := time.NewTicker(150 * time.Millisecond)
		defer pause.Stop()
		for i := 0; ; i++ {
			select {
			case <-pause.C:
				_, _ = all[i%len(all)].GetClosestPeers(ctx, string(all[(i*7+3)%len(all)].ID())+time.Now().String())
			case <-ctx.Done():
				return
			}
		}
	}()
}

// guarded looks whether a page of another site can use the dashboard: what it could send is
// refused.
func guarded(t *testing.T, n *served) {
	for _, c := range []struct {
		name, method, path string
		header             map[string]string
		status             string
	}{
		{"the page", "GET", "", nil, "^200"},
		{"an operation without the page's header", "POST", "api/closest", map[string]string{"Content-Type": "application/json"}, "^403"},
		{"another origin", "POST", "api/closest", map[string]string{"Content-Type": "application/json", "Kdht-Dashboard": "1", "Origin": "http://evil.example"}, "^403"},
		{"another site's stream", "GET", "api/events", map[string]string{"Sec-Fetch-Site": "cross-site"}, "^403"},
		{"another name", "GET", "", map[string]string{"Host": "evil.example"}, "^403"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, n.http+c.path, strings.NewReader(`{"key":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range c.header {
			r.Header.Set(name, v)
		}
		r.Host = c.header["Host"]
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if !regexp.MustCompile(c.status).MatchString(a.Status) {
			t.Errorf("%s: %s, want %s", c.name, a.Status, c.status)
		}
	}
}
