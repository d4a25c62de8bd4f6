package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdefSECRET"

// serve serves a page on each surface and returns where.
func serve(t *testing.T, cfg Config, onLoopback bool) (base string) {
	t.Helper()
	l, err := Listen("0")
	if err != nil {
		t.Fatal(err)
	}
	if !onLoopback {
		l = abroad{l}
	}
	s := New(cfg)
	s.Mount(Public, "/public", page("public"))
	s.Mount(Probe, "/probe", page("probe"))
	s.Mount(Admin, "/admin", page("admin"))
	if err := s.Serve(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return strings.TrimSuffix(URL(l), "/")
}

// abroad is a listener that is not on loopback, as far as it says.
type abroad struct{ net.Listener }

func (a abroad) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4zero, Port: a.Listener.Addr().(*net.TCPAddr).Port}
}

// page answers with its name and the length of what it was sent.
func page(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			n = -1
		}
		fmt.Fprintf(w, "%s %d", name, n)
	})
}

// client asks over connections of its own and follows no redirects.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is what came back.
type answer struct {
	status int
	body   string
	header http.Header
}

func ask(t *testing.T, c *http.Client, method, at, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text), resp.Header}
}

// wants checks an answer's status, and that a refusal is one line.
func (a answer) wants(t *testing.T, what string, status int, says string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, says) {
		t.Errorf("%s: %d %q, want %d with %q", what, a.status, a.body, status, says)
	}
	if status >= 400 && strings.Count(a.body, "\n") != 1 {
		t.Errorf("%s: %q is not one line", what, a.body)
	}
}

func TestForeignNamesAndPagesAreRefused(t *testing.T) {
	base, c := serve(t, Config{Hosts: []string{"Node.Example"}, Token: secret}, true), newClient(t)
	host := strings.TrimPrefix(base, "http://")
	_, port, _ := net.SplitHostPort(host)
	for _, try := range []struct {
		what   string
		header []string
		ok     bool
	}{
		{"no browser", nil, true},
		{"by localhost", []string{"Host", "localhost:" + port}, true},
		{"through a tunnel", []string{"Host", "localhost:8080"}, true},
		{"by another address of loopback", []string{"Host", "127.0.0.9"}, true},
		{"by IPv6", []string{"Host", "[::1]:" + port}, true},
		{"by a name that was given", []string{"Host", "node.example:" + port}, true},
		{"its own page", []string{"Origin", base, "Sec-Fetch-Site", "same-origin"}, true},
		{"typed in", []string{"Sec-Fetch-Site", "none"}, true},
		{"a link", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, true},
		{"rebinding", []string{"Host", "evil.example:" + port}, false},
		{"rebinding, its own origin", []string{"Host", "evil.example:" + port, "Origin", "http://evil.example:" + port}, false},
		{"a name that only begins so", []string{"Host", "localhost.evil.example"}, false},
		{"a name that looks like an address", []string{"Host", "127.0.0.1.evil.example"}, false},
		{"an address elsewhere", []string{"Host", "192.0.2.1"}, false},
		{"another site's page", []string{"Origin", "https://evil.example"}, false},
		{"another port's page", []string{"Origin", "http://127.0.0.1:1"}, false},
		{"a page of no origin", []string{"Origin", "null"}, false},
		{"another site's picture", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, false},
		{"another port's script", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors"}, false},
		{"another site's frame", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, false},
	} {
		for _, surface := range []string{"probe", "admin"} {
			got := ask(t, c, "GET", base+"/"+surface, "", append(try.header, "Authorization", "Bearer "+secret)...)
			if try.ok {
				got.wants(t, try.what, 200, surface+" 0")
			} else {
				got.wants(t, try.what, 403, "")
			}
		}
		ask(t, c, "GET", base+"/public", "", try.header...).wants(t, try.what, 200, "public 0")
	}
	ask(t, c, "POST", base+"/admin", "x", "Authorization", "Bearer "+secret, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document").
		wants(t, "a form of another site", 403, "another origin")
}

func TestSecurityHeaders(t *testing.T) {
	base, c := serve(t, Config{}, true), newClient(t)
	for _, path := range []string{"/admin", "/nowhere"} {
		got := ask(t, c, "GET", base+path, "")
		for name, says := range map[string]string{
			"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if !strings.Contains(got.header.Get(name), says) {
				t.Errorf("%s: %s is %q", path, name, got.header.Get(name))
			}
		}
		if o := got.header.Get("Access-Control-Allow-Origin"); o != "" {
			t.Errorf("%s may be read by %s", path, o)
		}
	}
	ask(t, c, "GET", base+"/nowhere", "").wants(t, "no such path", 404, "/routing/v1/")
}

// Off loopback nothing is the operator's that does not show the token.
func TestTokenOffLoopback(t *testing.T) {
	l, err := Listen("0")
	if err != nil {
		t.Fatal(err)
	}
	if err := New(Config{}).Serve(abroad{l}); err == nil || !strings.Contains(err.Error(), "--http-token-file") {
		t.Errorf("serving everybody without a token: %v", err)
	}
	base, c := serve(t, Config{Token: secret, TokenFile: "/some/file"}, false), newClient(t)
	ask(t, c, "GET", base+"/admin", "").wants(t, "no token", 401, "/some/file")
	for _, wrong := range []string{"Bearer ", "Bearer " + secret[1:], "Bearer " + secret + "x", "bearer" + secret, "Basic " + secret, secret} {
		ask(t, c, "GET", base+"/admin", "", "Authorization", wrong).wants(t, wrong, 401, "token")
	}
	if got := ask(t, c, "GET", base+"/admin?token=wrong", ""); got.status != 401 || got.header.Get("Set-Cookie") != "" {
		t.Errorf("a wrong token: %+v", got)
	}
	ask(t, c, "GET", base+"/admin", "", "Authorization", "Bearer "+secret).wants(t, "the token", 200, "admin")
	ask(t, c, "GET", base+"/admin", "", "Authorization", "Bearer "+secret, "Host", "evil.example").wants(t, "the token, another name", 403, "--http-host")
	ask(t, c, "GET", base+"/admin", "", "Authorization", "Bearer "+secret, "Host", "192.0.2.7:80").wants(t, "behind an address of a router's", 200, "admin")
	ask(t, c, "GET", base+"/probe", "").wants(t, "a probe", 200, "probe")
	ask(t, c, "GET", base+"/public", "", "Host", "evil.example").wants(t, "public", 200, "public")
	ask(t, c, "GET", base+"/nowhere", "").wants(t, "no such path", 401, "token")
}

// A token given on loopback is wanted there too, as from other users of the machine.
func TestTokenOnLoopback(t *testing.T) {
	base, c := serve(t, Config{Token: secret}, true), newClient(t)
	ask(t, c, "GET", base+"/admin", "").wants(t, "no token", 401, "token")
	ask(t, c, "GET", base+"/admin", "", "Authorization", "Bearer "+secret).wants(t, "the token", 200, "admin")
}

// Whoever has a name for the server has a proxy before it, which need not say so: without
// a token its guests would be operators.
func TestHostsNeedAToken(t *testing.T) {
	l, err := Listen("0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Hosts: []string{"node.example"}})
	if err := s.Serve(l); err == nil || !strings.Contains(err.Error(), "--http-token-file") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a name without a token: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A browser shows the token once and has a cookie from then on.
func TestBrowserLogsInOnce(t *testing.T) {
	base, c := serve(t, Config{Token: secret}, false), newClient(t)
	c.Jar, _ = cookiejar.New(nil)
	got := ask(t, c, "GET", base+"/admin?a=1&token="+secret, "")
	if to := got.header.Get("Location"); got.status != 303 || to != "/admin?a=1" {
		t.Fatalf("%d to %q", got.status, to)
	}
	cookie := got.header.Get("Set-Cookie")
	for _, says := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(cookie, says) {
			t.Errorf("the cookie %q lacks %s", cookie, says)
		}
	}
	if strings.Contains(cookie, secret) {
		t.Errorf("the token itself stays in the browser: %q", cookie)
	}
	ask(t, c, "GET", base+"/admin", "").wants(t, "with the cookie", 200, "admin")
	if again := ask(t, c, "GET", base+"/admin?token="+secret, ""); again.status != 303 || again.header.Get("Location") != "/admin" {
		t.Errorf("the token stays in the address of who has a cookie: %d to %q", again.status, again.header.Get("Location"))
	}
	ask(t, c, "GET", base+"/admin", "", "Origin", "http://evil.example").wants(t, "another's page with the cookie", 403, "")

	at, _ := url.Parse(base)
	for _, k := range c.Jar.Cookies(at) {
		ask(t, newClient(t), "GET", base+"/admin", "", "Cookie", k.Name+"="+k.Value+"x").wants(t, "another cookie", 401, "")
		ask(t, newClient(t), "GET", base+"/admin", "", "Cookie", "kdht-1="+k.Value).wants(t, "another node's cookie", 401, "")
	}
	if to := ask(t, newClient(t), "GET", base+"//evil.example/x?token="+secret, "").header.Get("Location"); strings.HasPrefix(to, "//") || strings.HasPrefix(to, "http") && !strings.HasPrefix(to, base) {
		t.Errorf("sent away to %q", to)
	}
	ask(t, newClient(t), "POST", base+"/admin?token="+secret, "x").wants(t, "a form with the token in its address", 401, "")
}

// A cookie is known for a while, and only to the process that gave it.
func TestSessionsEnd(t *testing.T) {
	begun := func() *guard {
		g := &guard{}
		if err := g.begin(&Config{Token: secret}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}); err != nil {
			t.Fatal(err)
		}
		return g
	}
	g, at := begun(), time.Unix(1e9, 0)
	shown := g.session(at)
	if !g.current(shown, at) || !g.current(shown, at.Add(sessionAge-1)) {
		t.Error("a cookie is not known again")
	}
	if g.current(shown, at.Add(sessionAge)) {
		t.Error("a cookie is good for ever")
	}
	if begun().current(shown, at) {
		t.Error("a cookie outlives the process that gave it")
	}
	_, mac, _ := strings.Cut(shown, ".")
	for _, forged := range []string{"", ".", mac, "1000000001." + mac, "01000000000." + mac, "." + mac, shown + "0"} {
		if g.current(forged, at) {
			t.Errorf("%q is taken for a cookie", forged)
		}
	}
}

// What a proxy on this machine passes on does not come from this machine.
func TestForwardedIsNotLoopback(t *testing.T) {
	base, c := serve(t, Config{}, true), newClient(t)
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"} {
		ask(t, c, "GET", base+"/admin", "", name, "192.0.2.1").wants(t, name, 401, "token")
		ask(t, c, "GET", base+"/probe", "", name, "192.0.2.1").wants(t, name, 200, "probe")
	}
}

func TestGiantBodies(t *testing.T) {
	base, c := serve(t, Config{}, true), newClient(t)
	for _, try := range []struct {
		path string
		most int
	}{{"/public", maxPublicBody}, {"/probe", maxPublicBody}, {"/admin", maxAdminBody}} {
		ask(t, c, "PUT", base+try.path, strings.Repeat("x", try.most)).wants(t, try.path, 200, fmt.Sprint(try.most))
		for _, header := range []string{fmt.Sprintf("Content-Length: %d", try.most+1), "Content-Length: 99999999999999", "Transfer-Encoding: chunked"} {
			giant(t, base, try.path, header, try.most)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", base+"/admin", nil)
	r.Header.Set("X-Long", strings.Repeat("x", 2*maxHeader))
	if resp, err := c.Do(r); err == nil { // or it is cut off before it has read what the server said
		resp.Body.Close()
		if resp.StatusCode != 431 {
			t.Errorf("a giant header: %d", resp.StatusCode)
		}
	}
}

// giant sends a body of most bytes and one, and reads the answer before anything is closed.
func giant(t *testing.T, base, path, header string, most int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", path, header)
		if strings.HasPrefix(header, "T") {
			fmt.Fprintf(conn, "%x\r\n", most+1)
			_, _ = io.WriteString(conn, strings.Repeat("x", most+1))
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s, %s: %v", path, header, err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 413 || !strings.Contains(string(text), "send less") {
		t.Errorf("%s, %s: %d %q", path, header, resp.StatusCode, text)
	}
}

func TestPanicCostsOneAnswer(t *testing.T) {
	l, err := Listen("0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{})
	s.Mount(Admin, "/panics", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	s.Mount(Admin, "/fine", page("fine"))
	if err := s.Serve(l); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if resp, err := newClient(t).Get(URL(l) + "panics"); err == nil {
		resp.Body.Close()
		t.Errorf("an answer: %v", resp.Status)
	}
	ask(t, newClient(t), "GET", URL(l)+"fine", "").wants(t, "after it", 200, "fine")
}

func TestListen(t *testing.T) {
	for text, says := range map[string]string{
		":5380": "on or off", "example.com:80": "on or off", "127.0.0.1": "on or off", "127.0.0.1:http": "on or off",
		"99999": "on or off", "yes": "on or off", "127.0.0.1:-1": "on or off", "192.0.2.1:1": "address of this machine",
	} {
		if l, err := Listen(text); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, %v", text, l, err)
		}
	}
	for _, text := range []string{"", Off} {
		if l, err := Listen(text); l != nil || err != nil {
			t.Errorf("%q: %v, %v", text, l, err)
		}
	}
	// Two nodes on one machine that were told nothing do not collide.
	var urls []string
	for range 2 {
		l, err := Listen(On)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if !Loopback(l) {
			t.Errorf("%s is not loopback", l.Addr())
		}
		urls = append(urls, URL(l))
	}
	if urls[0] == urls[1] {
		t.Errorf("both at %s", urls[0])
	}
	if l, err := Listen(strings.TrimSuffix(strings.TrimPrefix(urls[1], "http://"), "/")); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a port that is taken: %v, %v", l, err)
	}
}

func TestToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "token")
	token, err := LoadOrCreateToken(path)
	if err != nil || len(token) < 40 {
		t.Fatalf("%q, %v", token, err)
	}
	if again, err := LoadOrCreateToken(path); again != token || err != nil {
		t.Errorf("%q, %v after %q", again, err, token)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); len(names) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", names, err)
	}
	for text, says := range map[string]string{
		"": "holds no HTTP token", "short": "holds no HTTP token", "with a space in the middle": "holds no HTTP token",
		strings.Repeat("x", maxToken+1): "holds no HTTP token", "two\nlines of sixteen or more": "holds no HTTP token",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if token, err := LoadOrCreateToken(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %q, %v", text, token, err)
		}
	}
	for _, mode := range []os.FileMode{0o666, 0o644, 0o640, 0o604, 0o620, 0o601} {
		if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateToken(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%04o: %v", mode, err)
		}
	}
	if _, err := LoadOrCreateToken(filepath.Dir(path)); err == nil {
		t.Error("a directory is a token")
	}
}

// Closing ends answers that would go on for ever.
func TestCloseEndsStreams(t *testing.T) {
	l, err := Listen("0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{})
	s.Mount(Admin, "/stream", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "begun")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	}))
	if err := s.Serve(l); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", URL(l)+"stream", nil)
	resp, err := newClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if text, _ := io.ReadAll(resp.Body); string(text) != "begun\n" {
		t.Errorf("%q", text)
	}
	if err := New(Config{}).Close(); err != nil {
		t.Errorf("one that never served: %v", err)
	}
}
