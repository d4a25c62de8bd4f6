package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const helloCID = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"

// start starts a node on loopback that joined through others.
func start(t *testing.T, cfg Config, through ...*Node) *Node {
	t.Helper()
	if cfg.Prefix == "" {
		cfg.Prefix = "/test"
	}
	if cfg.Mode != routing.ModeClient {
		cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	for _, n := range through {
		cfg.Bootstrap = append(cfg.Bootstrap, n.Info())
	}
	n, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := n.Join(ctx); err != nil {
		t.Fatal(err)
	}
	return n
}

// wantKind checks an error's kind and that it is one line that says something.
func wantKind(t *testing.T, err error, k control.Kind, says string) {
	t.Helper()
	var e *control.Error
	if !errors.As(err, &e) || e.Kind != k || !strings.Contains(e.Message, says) || strings.Contains(e.Message, "\n") {
		t.Errorf("got %v, want one line of kind %s with %q", err, k, says)
	}
}

func TestWatchersSeeTheHops(t *testing.T) {
	ctx := t.Context()
	a := start(t, Config{})
	b := start(t, Config{}, a)
	c := start(t, Config{Mode: routing.ModeClient}, b)
	stored, err := a.Put(ctx, control.PutRequest{Value: []byte("v")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]int{}
	value, err := c.Get(ctx, control.GetRequest{Key: stored.Key}, func(e control.Event) {
		steps[e.Hop.Step]++
		if e.Hop.Step == "asking" && e.Hop.Hop < 1 {
			t.Errorf("asking at hop %d", e.Hop.Hop)
		}
	})
	if err != nil || string(value.Value) != "v" || value.Report.Asked < 1 || len(value.Report.Holders) < 1 {
		t.Fatalf("%+v, %v", value, err)
	}
	if steps["asking"] != value.Report.Asked || steps["answered"] != value.Report.Answered || steps["value"] < 1 {
		t.Errorf("seen %v, reported %+v", steps, value.Report)
	}
	if _, err := a.Provide(ctx, control.ProvideRequest{CID: helloCID}, nil); err != nil {
		t.Fatal(err)
	}
	var found []string
	if _, err := c.FindProviders(ctx, control.ProvidersRequest{CID: helloCID, Count: 1}, func(e control.Event) {
		if e.Provider != nil {
			found = append(found, e.Provider.ID)
		}
	}); err != nil || len(found) < 1 || found[0] != a.ID().String() {
		t.Errorf("found %v, %v", found, err)
	}
	if s, err := c.Status(ctx); err != nil || s.Mode != "client" || len(s.Addrs) != 0 {
		t.Errorf("the client: %+v, %v", s, err)
	}
	if table, err := a.Table(ctx); err != nil || table.Peers != 1 || table.Buckets[0].Peers[0].ID != b.ID().String() {
		t.Errorf("the table of a, which no client is in: %+v, %v", table, err)
	}
}

// A node of a public network takes nobody in and dials nobody who is on loopback,
// and holds subnets to a limit.
func TestPublicProfile(t *testing.T) {
	ctx := t.Context()
	a, c := start(t, Config{Profile: profile.Public}), start(t, Config{})
	b := start(t, Config{}, a)
	if err := b.host.Connect(ctx, c.Info()); err != nil {
		t.Fatal(err)
	}
	_ = a.host.Connect(ctx, c.Info()) // no error if c, which is free to, has dialed a
	for _, conn := range a.host.Network().Conns() {
		if conn.Stat().Direction == network.DirOutbound {
			t.Error("a node of a public network has dialed loopback")
		}
	}
	if b.Peers() == 0 || a.Peers() > 0 {
		t.Errorf("the private one knows %d, the public one %d", b.Peers(), a.Peers())
	}
	for n, want := range map[*Node]string{a: "public", b: "private"} {
		if s, err := n.Status(ctx); err != nil || s.Profile != want {
			t.Errorf("status: %+v, %v, want %s", s, err, want)
		}
	}
	if near := a.dht.Limits().Near; near != rpc.NearFactor {
		t.Errorf("a subnet may ask for %v times what a peer may", near)
	}
}

func TestManyAtOnce(t *testing.T) {
	a := start(t, Config{})
	b := start(t, Config{}, a)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			stored, err := a.Put(t.Context(), control.PutRequest{Value: fmt.Append(nil, i)}, func(control.Event) {})
			if err != nil {
				t.Error(err)
				return
			}
			if v, err := b.Get(t.Context(), control.GetRequest{Key: stored.Key}, nil); err != nil || string(v.Value) != fmt.Sprint(i) {
				t.Errorf("%d: %v, %v", i, v, err)
			}
		})
	}
	all.Wait()
}

func TestJoinSaysWhyNot(t *testing.T) {
	a := start(t, Config{})
	for _, c := range []struct {
		cfg  Config
		says string
	}{
		{Config{Prefix: "/other", Bootstrap: []peer.AddrInfo{a.Info()}}, "give --protocol-prefix /test"},
		{Config{Prefix: "/test", Bootstrap: []peer.AddrInfo{{ID: a.ID()}}}, "no address"},
	} {
		n, err := Start(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		wantKind(t, n.Join(t.Context()), control.NoPeers, c.says)
		n.Close()
	}
	n, err := Start(Config{Prefix: "/test", Bootstrap: []peer.AddrInfo{a.Info()}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Join(ctx); err != nil {
		wantKind(t, err, control.Interrupted, "")
	}
	n.Close()
	if _, err := n.Closest(t.Context(), control.ClosestRequest{Key: []byte("x")}, nil); err == nil {
		t.Error("a closed node finds something")
	}
}

func TestPortsThatAreTaken(t *testing.T) {
	a := start(t, Config{})
	taken := a.Info().Addrs[0].String()
	_, err := Start(Config{Prefix: "/test", Listen: []string{taken}})
	wantKind(t, err, control.Failed, "the port is in use")
	b, err := Start(Config{Prefix: "/test", Listen: []string{taken}, Fallback: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := b.Info().Addrs; len(got) != 1 || got[0].String() == taken {
		t.Errorf("falls back to %v", got)
	}
	l, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, p, _ := net.SplitHostPort(l.LocalAddr().String())
	_, err = Start(Config{Prefix: "/test", Listen: []string{"/ip4/127.0.0.1/udp/" + p + "/quic-v1"}})
	wantKind(t, err, control.Failed, "the port is in use")
}

func TestSigning(t *testing.T) {
	a := start(t, Config{})
	_, err := a.Put(t.Context(), control.PutRequest{Mut: "name", Value: []byte("v")}, nil)
	wantKind(t, err, control.Usage, "no key to sign with")
	_, err = a.Put(t.Context(), control.PutRequest{Mut: "name", Key: []byte("/imm/x")}, nil)
	wantKind(t, err, control.Usage, "give one")
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind control.Kind
		says string
	}{
		{fmt.Errorf("kdht: get: %w", context.DeadlineExceeded), control.Timeout, "--timeout"},
		{context.Canceled, control.Interrupted, ""},
		{fmt.Errorf("x: %w", routing.ErrNoPeers), control.NoPeers, "kdht run --bootstrap"},
		{fmt.Errorf("kdht: %w", store.ErrTooLarge), control.Usage, "too large"},
		{routing.ErrNotFound, control.NotFound, ""},
		{fmt.Errorf("dial: %w", syscall.ECONNREFUSED), control.Failed, "nothing listens there"},
		{errors.New("build: odd\n\x1b[2Jthing"), control.Failed, "odd"},
		{control.Errorf(control.Usage, "known"), control.Usage, "known"},
	} {
		wantKind(t, classify(c.err), c.kind, c.says)
	}
	if classify(nil) != nil {
		t.Error("nil is an error")
	}
	if a, b := mdnsService("/a"), mdnsService("/b"); a == b || !strings.HasSuffix(a, "._udp") {
		t.Errorf("networks share %s and %s", a, b)
	}
}

// A node that is connected to peers of another network alone says so.
func TestWhyAlone(t *testing.T) {
	n, other := start(t, Config{}), start(t, Config{Prefix: "/other"})
	alone, err := n.Status(t.Context())
	if err != nil || !strings.Contains(alone.Lonely, "knows no other yet") || alone.ModeReason != "set to server" {
		t.Errorf("the first of its network: %+v, %v", alone, err)
	}
	if err := n.connect(t.Context(), other.Info()); err != nil {
		t.Fatal(err)
	}
	const want = "1 connected, 0 speak /test/kad/1.0.0"
	deadline := time.Now().Add(30 * time.Second)
	for s := alone; !strings.Contains(s.Lonely, want); {
		if s, err = n.Status(t.Context()); err != nil || time.Now().After(deadline) {
			t.Fatalf("%+v, %v: does not say %q", s, err, want)
		}
	}
	_, err = n.Get(t.Context(), control.GetRequest{Key: []byte(store.ImmKey(nil))}, nil)
	wantKind(t, err, control.NoPeers, "no peers: "+want)
}
