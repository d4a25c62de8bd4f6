package httpapi

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
)

// guard decides who is admitted. It is set by begin, before the first request.
type guard struct {
	loopback  bool // where the server listens, not who asks: a proxy on this machine asks from loopback too
	hosts     []string
	token     []byte // digest of the token, nil if there is none
	sessions  []byte // what a browser shows in its place is signed with; another in each process
	cookie    string // the name of the cookie that holds it
	tokenFile string
}

// begin takes in where the server listens.
func (g *guard) begin(cfg *Config, addr net.Addr) error {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return control.Errorf(control.Failed, "%s is no address to serve HTTP at: give --http an IP address and a port", addr)
	}
	g.loopback, g.tokenFile = at.Addr().Unmap().IsLoopback(), cfg.TokenFile
	for _, h := range cfg.Hosts {
		g.hosts = append(g.hosts, strings.ToLower(h))
	}
	// Cookies know no ports: two nodes on one host need two names.
	g.cookie = "kdht-" + strconv.Itoa(int(at.Port()))
	if cfg.Token == "" {
		if !g.loopback {
			return control.Errorf(control.Usage, "serving HTTP at %s needs a token: give its file with --http-token-file, or stay on loopback", addr)
		}
		if len(g.hosts) > 0 {
			return control.Errorf(control.Usage, "--http-host needs a token: whom a proxy asks for cannot be told from who is on this machine; give the token's file with --http-token-file too")
		}
		return nil
	}
	sum := sha256.Sum256([]byte(cfg.Token))
	g.token = sum[:]
	mac := hmac.New(sha256.New, []byte(cfg.Token))
	mac.Write([]byte("kdht session" + rand.Text()))
	g.sessions = mac.Sum(nil)
	return nil
}

// sessionAge is how long a browser that has shown the token is known again.
const sessionAge = 7 * 24 * time.Hour

// session returns what a browser shows in the token's place that has shown it at a time:
// that time, signed.
func (g *guard) session(at time.Time) string {
	since := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, g.sessions)
	mac.Write([]byte(since))
	return since + "." + hex.EncodeToString(mac.Sum(nil))
}

// current reports whether session has returned shown in this process, and lately.
func (g *guard) current(shown string, now time.Time) bool {
	text, _, _ := strings.Cut(shown, ".")
	since, err := strconv.ParseInt(text, 10, 64)
	at := time.Unix(since, 0)
	return err == nil && hmac.Equal([]byte(shown), []byte(g.session(at))) && now.Sub(at) < sessionAge
}

// over has h answer only those whom the surface admits.
func (g *guard) over(surface Surface, h http.Handler) http.Handler {
	if surface == Public {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w.Header())
		switch {
		case !g.known(r.Host):
			Refuse(w, http.StatusForbidden, "this node is not called %.100q: ask it by its address or as localhost, or start it with --http-host", r.Host)
		case foreign(r):
			Refuse(w, http.StatusForbidden, "this comes from a page of another origin: open the node's own page instead")
		case surface == Admin && g.login(w, r): // first: the token is not to stay in the address of who has a cookie
		case surface == Admin && !g.operator(r):
			w.Header().Set("WWW-Authenticate", `Bearer realm="kdht"`)
			Refuse(w, http.StatusUnauthorized, "this needs the node's token, which is in %s: send it as \"Authorization: Bearer TOKEN\", or open this page once with ?token=TOKEN", g.where())
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// where names the token's file.
func (g *guard) where() string {
	if g.tokenFile == "" {
		return "the file that `kdht run` names"
	}
	return g.tokenFile
}

// known reports whether a Host header is one of the node's own names. A page that
// lets its name point here shows that name. An address is nobody's name.
func (g *guard) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if ip, err := netip.ParseAddr(name); err == nil {
		return !g.loopback || ip.Unmap().IsLoopback()
	}
	return name == "localhost" || slices.Contains(g.hosts, name)
}

// foreign reports whether a browser says that a page of another origin asks. One
// that is followed there by a click may be looked at.
func foreign(r *http.Request) bool {
	if origins := r.Header.Values("Origin"); len(origins) > 0 {
		u, err := url.Parse(origins[0])
		if len(origins) > 1 || err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return true
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	return !read || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}

// operator reports whether the request is the operator's: it shows the token, or
// there is none and it comes from this machine. What a proxy says that it passes on
// comes from elsewhere; not every proxy says so, hence one needs a token.
func (g *guard) operator(r *http.Request) bool {
	if g.token == nil {
		return !forwarded(r.Header)
	}
	if shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.right(shown)
	}
	c, err := r.Cookie(g.cookie)
	return err == nil && g.token != nil && g.current(c.Value, time.Now())
}

func forwarded(h http.Header) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if h.Get(name) != "" {
			return true
		}
	}
	return false
}

// right compares in constant time.
func (g *guard) right(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return g.token != nil && subtle.ConstantTimeCompare(sum[:], g.token) == 1
}

// login takes a token from a page's address, where it would stay in the browser's
// history, and leaves a cookie in its place, which no script can read and no other
// site's page sends. It reports whether it has answered.
func (g *guard) login(w http.ResponseWriter, r *http.Request) bool {
	query := r.URL.Query()
	if r.Method != http.MethodGet || !g.right(query.Get("token")) {
		return false
	}
	http.SetCookie(w, &http.Cookie{
		Name: g.cookie, Value: g.session(time.Now()), Path: "/", MaxAge: int(sessionAge / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	query.Del("token")
	// A path alone, of one slash at its beginning: no other host's.
	to := url.URL{Path: "/" + strings.TrimLeft(r.URL.Path, "/\\"), RawQuery: query.Encode()}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
	return true
}
