package dashboard

import (
	"bufio"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/control"
)

// server serves a dashboard until the test ends.
func server(t *testing.T, s Source) string {
	t.Helper()
	d := New(s)
	h := httptest.NewServer(d)
	t.Cleanup(func() {
		h.CloseClientConnections()
		_ = d.Close()
		h.Close()
	})
	return h.URL
}

// post asks for an operation as the page does, but for what change does to it.
func post(t *testing.T, at, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(header, "1")
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

// What changes something needs the page's own header, and whatever is wrong is told in one
// line with a status that fits.
func TestOperations(t *testing.T) {
	f := &fake{}
	at := server(t, f)
	if status, body := post(t, at+"/api/release", `{"key":"127.0.0.0/24"}`, nil); status != 200 || !strings.Contains(body, `"held":true`) || *f.released.Load() != "127.0.0.0/24" {
		t.Errorf("release: %d %s", status, body)
	}
	if status, body := post(t, at+"/api/get", `{"key":"/imm/a"}`, nil); status != 200 || !strings.Contains(body, `"value":"L2ltbS9h"`) {
		t.Errorf("get: %d %s", status, body)
	}
	f.released.Store(nil)
	for _, bad := range []struct {
		what, path, body string
		change           func(*http.Request)
		status           int
	}{
		{"no header", "release", `{"key":"x"}`, func(r *http.Request) { r.Header.Del(header) }, 403},
		{"no JSON", "release", `{"key":"x"}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		{"a form", "release", `key=x`, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415},
		{"an unknown field", "release", `{"key":"x","more":1}`, nil, 400},
		{"two objects", "release", `{"key":"x"}{}`, nil, 400},
		{"too much", "put", `{"value":"` + strings.Repeat("a", maxBody) + `"}`, nil, 413},
		{"a bad key", "get", `{"key":""}`, nil, 400},
		{"read instead", "release", ``, func(r *http.Request) { r.Method = http.MethodGet }, 404},
	} {
		if status, body := post(t, at+"/api/"+bad.path, bad.body, bad.change); status != bad.status || strings.Count(body, "\n") > 1 || body == "" {
			t.Errorf("%s: %d %.200q, want %d", bad.what, status, body, bad.status)
		}
	}
	if f.released.Load() != nil {
		t.Error("somebody was released all the same")
	}
}

// The kinds of errors have statuses, and their lines reach the page without names of packages.
func TestErrorsReachThePage(t *testing.T) {
	f := &fake{}
	at := server(t, f)
	for kind, want := range map[control.Kind]int{control.Usage: 400, control.NotFound: 404, control.NoPeers: 503, control.Timeout: 504, control.Failed: 500} {
		f.fail = control.Errorf(kind, "because")
		if status, body := post(t, at+"/api/get", `{"key":"/imm/a"}`, nil); status != want || !strings.Contains(body, `"message":"because"`) {
			t.Errorf("%s: %d %s", kind, status, body)
		}
	}
	f.fail = errOdd
	if _, body := post(t, at+"/api/release", `{"key":"x"}`, nil); !strings.Contains(body, `"message":"odd"`) {
		t.Errorf("an odd error: %s", body)
	}
}

// Only so many operations run at a time; one that its page calls off makes room.
func TestOperationsAreBounded(t *testing.T) {
	d := New(&fake{})
	h := httptest.NewServer(d)
	defer h.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, maxAtOnce)
	for range maxAtOnce {
		go func() {
			defer func() { done <- struct{}{} }()
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, h.URL+"/api/get", strings.NewReader(`{"key":"/imm/wait"}`))
			r.Header.Set(header, "1")
			r.Header.Set("Content-Type", "application/json")
			if a, err := http.DefaultClient.Do(r); err == nil {
				a.Body.Close()
			}
		}()
	}
	for len(d.slots) < maxAtOnce {
		if ctx.Err() != nil {
			t.Fatal("the operations do not begin")
		}
		_, _ = post(t, h.URL+"/api/nothing", `{}`, nil) // time passes
	}
	if status, body := post(t, h.URL+"/api/get", `{"key":"/imm/a"}`, nil); status != 503 || !strings.Contains(body, "try again") {
		t.Errorf("one more: %d %s", status, body)
	}
	cancel()
	for range maxAtOnce {
		<-done
	}
}

// A page is told all kinds of things at once, and lookups as they happen.
func TestEventStream(t *testing.T) {
	f := &fake{}
	at := server(t, f)
	a, err := http.Get(at + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if kind := a.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("content type %q", kind)
	}
	missing := map[string]bool{"hello": true, "status": true, "table": true, "traffic": true, "throttle": true, "peers": true, "records": true, "lookups": true}
	lines := bufio.NewScanner(a.Body)
	lines.Buffer(nil, maxEvent)
	for len(missing) > 0 && lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			delete(missing, name)
			if name == "status" {
				f.lookup(1, 3)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("never told: %v (%v)", missing, lines.Err())
	}
}

// The page is all there, asks for nothing of elsewhere, and is sent again only if it is
// another.
func TestAssets(t *testing.T) {
	at := server(t, &fake{})
	get := func(path string, header ...string) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", "gzip")
		if len(header) > 0 {
			r.Header.Set(header[0], header[1])
		}
		a, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		body := io.Reader(a.Body)
		if a.Header.Get("Content-Encoding") == "gzip" {
			if body, err = gzip.NewReader(a.Body); err != nil {
				t.Fatal(err)
			}
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return a, string(text)
	}
	elsewhere := regexp.MustCompile(`(?:https?:)?//[a-z0-9-]+\.[a-z0-9.-]+`)
	for path, kind := range map[string]string{"/": "text/html", "/app.js": "text/javascript", "/app.css": "text/css", "/licenses.txt": "text/plain"} {
		a, text := get(path)
		if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), kind) || len(text) < 300 {
			t.Errorf("%s: %d, %s, %d bytes", path, a.StatusCode, a.Header.Get("Content-Type"), len(text))
		}
		for _, url := range elsewhere.FindAllString(text, -1) {
			if url != "http://www.w3.org" && path != "/licenses.txt" { // the name of SVG, which nobody asks
				t.Errorf("%s names %s", path, url)
			}
		}
		if again, _ := get(path, "If-None-Match", a.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: sent again (%d)", path, again.StatusCode)
		}
	}
	if a, _ := get("/nothing"); a.StatusCode != 404 {
		t.Errorf("what is not there: %d", a.StatusCode)
	}
	if _, html := get("/"); strings.Contains(html, "<style") || strings.Contains(html, "onload") || strings.Contains(html, "<script>") {
		t.Error("the page has styles or scripts inline, which its policy forbids")
	}
}
