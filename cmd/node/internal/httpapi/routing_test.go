package httpapi

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/live"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const (
	helloCID   = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
	otherCID   = "bafkreidcd7frenco2m6ch7mny63wztgztv3q6fctaffgowkro6kljre5ei"
	strangerID = "12D3KooWGE3zjj1tZAk8iRGVGJAi66VRVLqLFvCkowzX9dj1kWyP"
)

// overlay starts so many nodes on loopback that know each other.
func overlay(t *testing.T, network live.Network, count int) []*live.Node {
	t.Helper()
	var nodes []*live.Node
	for range count {
		cfg := live.Config{Network: network, Prefix: "/test", Profile: profile.Private, Listen: []string{"/ip4/127.0.0.1/tcp/0"}}
		for _, n := range nodes[:min(1, len(nodes))] {
			cfg.Bootstrap = []peer.AddrInfo{n.Info()}
		}
		n, err := live.Start(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		nodes = append(nodes, n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, n := range nodes {
		if err := n.Meet(ctx, count-1); count > 1 && err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// routes serves /routing/v1 of a node and returns where.
func routes(t *testing.T, node Overlay) string {
	t.Helper()
	l, err := Listen("0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{})
	s.Mount(Public, RoutingPath, Routing(node))
	if err := s.Serve(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return URL(l) + "routing/v1"
}

// peersIn returns the ids of the peers in an answer, of JSON or of lines of it.
func peersIn(t *testing.T, a answer) (ids []string) {
	t.Helper()
	type peerRecord struct {
		Schema, ID string
		Addrs      []string
	}
	var records []peerRecord
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/x-ndjson") {
		for line := range strings.Lines(a.body) {
			var r peerRecord
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			records = append(records, r)
		}
	} else {
		var all struct{ Providers, Peers []peerRecord }
		if err := json.Unmarshal([]byte(a.body), &all); err != nil {
			t.Fatalf("%v in %q", err, a.body)
		}
		records = append(all.Providers, all.Peers...)
	}
	for _, r := range records {
		if r.Schema != "peer" {
			t.Errorf("schema %q", r.Schema)
		}
		for _, a := range r.Addrs {
			if !strings.HasPrefix(a, "/ip4/127.0.0.1/") {
				t.Errorf("an address %q", a)
			}
		}
		ids = append(ids, r.ID)
	}
	return ids
}

func TestProvidersAndPeers(t *testing.T) {
	nodes := overlay(t, live.Private, 4)
	if _, err := nodes[1].Provide(t.Context(), control.ProvideRequest{CID: helloCID}, nil); err != nil {
		t.Fatal(err)
	}
	provider := nodes[1].ID().String()
	base, c := routes(t, nodes[3]), newClient(t)
	for _, kind := range []string{"application/json", "application/x-ndjson"} {
		got := ask(t, c, "GET", base+"/providers/"+helloCID, "", "Accept", kind, "Origin", "https://page.example")
		if ids := peersIn(t, got); got.status != 200 || !slices.Equal(ids, []string{provider}) {
			t.Errorf("%s: %d, %v, want %s", kind, got.status, ids, provider)
		}
		for name, says := range map[string]string{
			"Content-Type": kind, "Access-Control-Allow-Origin": "*", "Cache-Control": "max-age=300", "X-Content-Type-Options": "nosniff",
		} {
			if !strings.Contains(got.header.Get(name), says) {
				t.Errorf("%s: %s is %q, want %q", kind, name, got.header.Get(name), says)
			}
		}
		if vary := strings.Join(got.header.Values("Vary"), ","); !strings.Contains(vary, "Accept") {
			t.Errorf("%s: caches mix up the kinds: Vary is %q", kind, vary)
		}
		got = ask(t, c, "GET", base+"/providers/"+otherCID, "", "Accept", kind)
		if got.status != 200 || !strings.Contains(got.header.Get("Cache-Control"), "max-age=15,") || strings.Contains(got.body, "peer") {
			t.Errorf("%s, nobody provides it: %+v", kind, got)
		}
		for filter, found := range map[string]int{"filter-addrs=tcp": 1, "filter-addrs=!tcp": 0, "filter-addrs=quic-v1": 0, "filter-protocols=unknown": 1, "filter-protocols=transport-bitswap": 0} {
			if ids := peersIn(t, ask(t, c, "GET", base+"/providers/"+helloCID+"?"+filter, "", "Accept", kind)); len(ids) != found {
				t.Errorf("%s, %s: %v", kind, filter, ids)
			}
		}
		if ids := peersIn(t, ask(t, c, "GET", base+"/peers/"+provider, "", "Accept", kind)); !slices.Equal(ids, []string{provider}) {
			t.Errorf("%s: found %v, want %s", kind, ids, provider)
		}
		if ids := peersIn(t, ask(t, c, "GET", base+"/peers/"+strangerID, "", "Accept", kind)); len(ids) != 0 {
			t.Errorf("%s: found %v, whom nobody knows", kind, ids)
		}
		near := peersIn(t, ask(t, c, "GET", base+"/dht/closest/peers/"+helloCID, "", "Accept", kind))
		want := []string{nodes[0].ID().String(), provider, nodes[2].ID().String()}
		if slices.Sort(near); !slices.Equal(near, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: closest are %v, want %v", kind, near, want)
		}
	}
	asCID := peer.ToCid(nodes[1].ID()).String()
	if ids := peersIn(t, ask(t, c, "GET", base+"/peers/"+asCID, "")); !slices.Equal(ids, []string{provider}) {
		t.Errorf("%s: found %v, want %s", asCID, ids, provider)
	}
	allowed := ask(t, c, "OPTIONS", base+"/ipns/"+asCID, "", "Origin", "https://page.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type")
	if allowed.status != 204 || allowed.header.Get("Access-Control-Allow-Origin") != "*" || allowed.header.Get("Access-Control-Allow-Methods") != "PUT" {
		t.Errorf("a page asks whether it may: %+v", allowed)
	}
	if h := allowed.header.Get("Access-Control-Allow-Credentials"); h != "" {
		t.Errorf("pages may send cookies: %q", h)
	}
	ask(t, c, "GET", base+"/ipns/"+asCID, "").wantsText(t, "a network without IPNS", 501, "--network amino")
}

// wantsText checks an answer's status, and that an error is one line of text.
func (a answer) wantsText(t *testing.T, what string, status int, says string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, says) || strings.Contains(strings.TrimSuffix(a.body, "\n"), "\n") {
		t.Errorf("%s: %d %q, want %d with %q in one line", what, a.status, a.body, status, says)
	}
	if ct := a.header.Get("Content-Type"); status >= 400 && !strings.HasPrefix(ct, "text/plain") {
		t.Errorf("%s: an error of type %q", what, ct)
	}
}

// ipnsRecord returns a signed record and its name as a CID.
func ipnsRecord(t *testing.T, key crypto.PrivKey, sequence uint64, valid time.Duration) (raw []byte, name string) {
	t.Helper()
	to, err := path.NewPath("/ipfs/" + helloCID)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ipns.NewRecord(key, to, sequence, time.Now().Add(valid), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = ipns.MarshalRecord(r); err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw, peer.ToCid(id).String()
}

func TestIPNS(t *testing.T) {
	nodes := overlay(t, live.Amino, 4)
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, name := ipnsRecord(t, key, 1, time.Hour)
	raw, _ := ipnsRecord(t, key, 2, time.Hour)
	late, _ := ipnsRecord(t, key, 3, -time.Hour)
	from, to, c := routes(t, nodes[1]), routes(t, nodes[3]), newClient(t)
	const kind = "application/vnd.ipfs.ipns-record"

	got := ask(t, c, "GET", to+"/ipns/"+name, "", "Accept", kind)
	if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") { // so the API says "none"
		t.Errorf("before it is put: %+v", got)
	}
	put := func(what string, record []byte, under string, status int, says string) {
		t.Helper()
		ask(t, c, "PUT", from+"/ipns/"+under, string(record), "Content-Type", kind, "Origin", "https://page.example").wantsText(t, what, status, says)
	}
	put("a record", raw, name, 200, "")
	got = ask(t, c, "GET", to+"/ipns/"+name, "", "Accept", kind, "Origin", "https://page.example")
	if got.body != string(raw) || got.header.Get("Content-Type") != kind || got.header.Get("Access-Control-Allow-Origin") != "*" ||
		got.header.Get("Etag") == "" || !strings.Contains(got.header.Get("Cache-Control"), "max-age=60,") || got.header.Get("Expires") == "" {
		t.Errorf("got %d, %d bytes, %v", got.status, len(got.body), got.header)
	}
	put("an older record", old, name, 500, "newer")
	put("one that is over", late, name, 400, "invalid")
	put("another's record", raw, peer.ToCid(nodes[0].ID()).String(), 400, "invalid")
	put("garbage", []byte("garbage"), name, 400, "invalid")
	put("nothing", nil, name, 400, "invalid")
	put("a giant", make([]byte, ipns.MaxRecordSize+1000), name, 400, "invalid")
	put("a giant's giant", make([]byte, maxPublicBody+1), name, 413, "send less")
	put("content for a name", raw, helloCID, 400, "not valid")
	ask(t, c, "PUT", from+"/ipns/"+name, string(raw)).wantsText(t, "of no type", 406, "Content-Type")
	ask(t, c, "GET", to+"/ipns/"+name, "", "Accept", "text/html").wantsText(t, "as a page", 406, "vnd.ipfs.ipns-record")
	if got := ask(t, c, "GET", to+"/ipns/"+name, ""); got.body != string(raw) {
		t.Error("what was refused has changed it")
	}
}

// What is wrong with a request is said in one line, and nobody is asked.
func TestBadRequests(t *testing.T) {
	base, c := routes(t, overlay(t, live.Private, 1)[0]), newClient(t)
	for _, bad := range []string{"x", "bafk", strings.Repeat("b", 4000), "%3Cscript%3Ealert(1)", "Qm%00"} {
		for _, what := range []string{"/providers/", "/peers/", "/ipns/", "/dht/closest/peers/"} {
			got := ask(t, c, "GET", base+what+bad, "")
			got.wantsText(t, what+bad, 400, "")
			if len(got.body) > 2000 {
				t.Errorf("%s%.20s: an error of %d bytes", what, bad, len(got.body))
			}
		}
	}
	for _, path := range []string{"/providers/" + helloCID, "/peers/" + strangerID, "/dht/closest/peers/" + helloCID} {
		got := ask(t, c, "GET", base+path, "")
		got.wantsText(t, path+" of a lone node", 503, "kdht run --bootstrap")
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s: no word on when to ask again", path)
		}
		ask(t, c, "GET", base+path, "", "Accept", "text/html").wantsText(t, path+" as a page", 400, "content types")
		ask(t, c, "GET", base+path, "", "Accept", ";;").wantsText(t, path+" as nonsense", 400, "Accept")
	}
	ask(t, c, "PUT", base+"/providers/", `{"Providers":[]}`).wantsText(t, "no providers", 200, "")
	ask(t, c, "PUT", base+"/providers/", `{{`).wantsText(t, "a broken announcement", 400, "invalid")
	ask(t, c, "GET", base+"/nowhere", "").wantsText(t, "no such path", 404, "")
	ask(t, c, "POST", base+"/providers/"+helloCID, "x").wantsText(t, "no such method", 405, "")
}

// endlessOverlay finds providers for as long as it is let.
type endlessOverlay struct {
	control.Node
	searching, most atomic.Int32
}

func (o *endlessOverlay) EachProvider(ctx context.Context, _ cid.Cid, found func(peer.AddrInfo) bool) error {
	now := o.searching.Add(1)
	defer o.searching.Add(-1)
	for most := o.most.Load(); now > most && !o.most.CompareAndSwap(most, now); most = o.most.Load() {
	}
	id, _ := peer.Decode(strangerID)
	p := peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")}}
	if !found(p) {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// Of a thousand streams at a time as many are answered as may be, the others are told
// to come again, and when all have gone nothing is left of them.
func TestThousandStreams(t *testing.T) {
	o := &endlessOverlay{}
	base := routes(t, o)
	host := strings.TrimSuffix(strings.TrimPrefix(base, "http://"), "/routing/v1")
	before := runtime.NumGoroutine()
	const streams = 1000
	var conns [streams]net.Conn
	var served, refused, cut atomic.Int32
	var group sync.WaitGroup
	for i := range conns {
		group.Go(func() {
			conn, err := net.Dial("tcp", host)
			if err != nil {
				t.Error(err)
				return
			}
			conns[i] = conn
			fmt.Fprintf(conn, "GET /routing/v1/providers/%s HTTP/1.1\r\nHost: %s\r\nAccept: application/x-ndjson\r\n\r\n", helloCID, host)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			switch {
			case err != nil:
				cut.Add(1)
			case resp.StatusCode == 200:
				served.Add(1)
			case resp.StatusCode == 503 && resp.Header.Get("Retry-After") != "":
				refused.Add(1)
			default:
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	group.Wait()
	if served.Load() != maxSearches || refused.Load() != streams-maxSearches || cut.Load() != 0 || o.most.Load() != maxSearches {
		t.Errorf("%d served, %d refused, %d cut; %d searches at a time: want %d served", served.Load(), refused.Load(), cut.Load(), o.most.Load(), maxSearches)
	}
	for _, conn := range conns {
		conn.Close()
	}
	deadline := time.Now().Add(30 * time.Second)
	for o.searching.Load() > 0 || runtime.NumGoroutine() > before+5 {
		if time.Now().After(deadline) {
			t.Fatalf("%d searches go on for nobody, %d goroutines, %d before", o.searching.Load(), runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
	if got := ask(t, newClient(t), "OPTIONS", base+"/providers/"+helloCID, "", "Origin", "https://page.example", "Access-Control-Request-Method", "GET"); got.status != 204 {
		t.Errorf("afterwards: %+v", got)
	}
}

// A stream is told as it is found, not when all is.
func TestStreamsAsFound(t *testing.T) {
	base := routes(t, &endlessOverlay{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", base+"/providers/"+helloCID, nil)
	r.Header.Set("Accept", "application/x-ndjson")
	resp, err := newClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, strangerID) {
		t.Errorf("%q, %v", line, err)
	}
	cancel()
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("an end, where there is none")
	}
}

// One client's share does not grow with its addresses inside a subnet, and what is
// remembered of clients is bounded.
func TestClientsAreSlowedApart(t *testing.T) {
	turn, now := newTurnstile(), time.Now()
	ask := func(from string) bool { return turn.admits(client(from), now) }
	for i := range clientBurst {
		if !ask("192.0.2.1:1") || !ask(fmt.Sprintf("[2001:db8::%x]:1", i)) {
			t.Fatalf("the %d-th request is refused", i)
		}
	}
	if ask("192.0.2.1:2") || ask("[2001:db8::ffff]:9") {
		t.Error("more than the burst")
	}
	if !ask("192.0.2.2:1") || !ask("[2001:db8:1::1]:9") || !ask("127.0.0.1:1") {
		t.Error("one client's haste is another's loss")
	}
	if now = now.Add(time.Second); !ask("192.0.2.1:1") {
		t.Error("a second later it is still refused")
	}
	for i := range 3 * maxClients {
		turn.admits(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), now)
	}
	if len(turn.clients) > maxClients {
		t.Errorf("%d clients are remembered", len(turn.clients))
	}
}
