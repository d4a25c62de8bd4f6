package input

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	someID   = "12D3KooWHodrxkSkw6xWNQpPEpmS7kY9i3Jfs5kpaziarEz4whzn"
	otherID  = "12D3KooWBUFaaBroqED1AkEkLo1R4NEMArfimS2j8Ln1ZiMAWy2z"
	someAddr = "/ip4/127.0.0.1/tcp/4001"
	helloCID = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
)

// wantUsage checks that an error blames what was given, in one line.
func wantUsage(t *testing.T, err error, says string) {
	t.Helper()
	var e *control.Error
	if !errors.As(err, &e) || e.Kind != control.Usage || !strings.Contains(e.Message, says) || strings.Contains(e.Message, "\n") || len(e.Message) > 1000 {
		t.Errorf("got %v, want one line about usage with %q", err, says)
	}
}

func TestBootstrap(t *testing.T) {
	peers, err := Bootstrap([]string{someAddr + "/p2p/" + someID, "/ip4/127.0.0.1/udp/4001/quic-v1/p2p/" + someID, someAddr + "/ipfs/" + otherID})
	if err != nil || len(peers) != 2 {
		t.Fatalf("%v, %v", peers, err)
	}
	for _, p := range peers {
		if p.ID.String() == someID && len(p.Addrs) != 2 || p.ID.String() == otherID && len(p.Addrs) != 1 {
			t.Errorf("%v", p)
		}
	}
	for text, says := range map[string]string{
		"":                     "no multiaddr",
		"localhost:4001":       "begin with /",
		"/ip4/1.2.3":           "no multiaddr",
		"/ip4/1.2.3.4/tcp/x":   "no multiaddr",
		someAddr:               "must have an address and end in /p2p/",
		"/p2p/" + someID:       "must have an address",
		someAddr + "/p2p/nope": "no multiaddr",
		"/" + strings.Repeat("ip4/1.2.3.4/", 1000): "too long",
		"\x00\xff": "no multiaddr",
	} {
		_, err := Bootstrap([]string{text})
		wantUsage(t, err, says)
	}
}

func TestInside(t *testing.T) {
	const loop, doc, name, tree = "/ip4/127.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1", "/dns4/a.example/tcp/1", "/dnsaddr/a.example"
	for _, c := range []struct {
		profile profile.Profile
		addrs   []string
		inside  bool
	}{
		{profile.Private, []string{loop}, true},
		{profile.Public, []string{loop}, false},
		{profile.Public, []string{loop, doc}, false},
		{profile.Public, []string{loop, name}, true},
		{profile.Public, []string{tree}, true}, // given by the user, and looked at again when it is dialed
		{profile.Public, []string{"/ip4/1.1.1.1/tcp/1", loop}, true},
		{profile.LAN, []string{"/ip4/1.1.1.1/tcp/1"}, false},
		{profile.LAN, []string{"/ip4/10.0.0.1/tcp/1"}, true},
		{profile.LAN, []string{name}, true},
	} {
		var full []string
		for _, a := range c.addrs {
			full = append(full, a+"/p2p/"+someID)
		}
		peers, err := Bootstrap(full)
		if err != nil {
			t.Fatal(err)
		}
		if err := Inside(c.profile, peers); (err == nil) != c.inside {
			t.Errorf("%v in a %s network: %v", c.addrs, c.profile, err)
		}
	}
}

func TestListen(t *testing.T) {
	if err := Listen([]string{someAddr, "/ip6/::/udp/0/quic-v1"}); err != nil {
		t.Error(err)
	}
	wantUsage(t, Listen([]string{"4001"}), "--listen")
	wantUsage(t, Listen([]string{someAddr + "/p2p/" + someID}), "leave out /p2p/")
}

func TestPeer(t *testing.T) {
	for text, addrs := range map[string]int{someID: 0, someAddr + "/p2p/" + someID: 1} {
		p, err := Peer(text)
		if err != nil || p.ID.String() != someID || len(p.Addrs) != addrs {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "12D3Koo", someID + "x", strings.Repeat("1", 5000), "/ip4/127.0.0.1"} {
		_, err := Peer(text)
		wantUsage(t, err, "")
	}
}

func TestKey(t *testing.T) {
	id, _ := peer.Decode(someID)
	for text, want := range map[string]string{
		"/imm/abc":              "/imm/abc",
		"/pk/" + someID:         "/pk/" + string(id),
		"/ipns/" + someID:       "/ipns/" + string(id),
		"/mut/" + someID + "/n": "/mut/" + someID + "/n",
		"/app/a/b":              "/app/a/b",
	} {
		key, err := Key(text)
		if err != nil || string(key) != want {
			t.Errorf("%s: %q, %v", text, key, err)
		}
		if shown := ShowKey(key); shown != text {
			t.Errorf("%s is shown as %s", text, shown)
		}
	}
	for text, says := range map[string]string{"": "no key", "imm/abc": "no key", "/imm": "no key", "/a/" + strings.Repeat("x", protocol.MaxValueKey): "bytes"} {
		_, err := Key(text)
		wantUsage(t, err, says)
	}
	if shown := ShowKey([]byte("/x/\xff\n")); strings.Contains(shown, "\xff") {
		t.Errorf("shown as %q", shown)
	}
}

func TestTarget(t *testing.T) {
	id, _ := peer.Decode(someID)
	c, _ := CID(helloCID)
	for text, want := range map[string]string{someID: string(id), helloCID: string(c.Hash()), "text": "text", "/imm/x": "/imm/x", "/pk/" + someID: "/pk/" + string(id)} {
		if key, err := Target(text); err != nil || string(key) != want {
			t.Errorf("%s: %q, %v", text, key, err)
		}
	}
	for _, text := range []string{"", strings.Repeat("x", maxArg+1)} {
		_, err := Target(text)
		wantUsage(t, err, "bytes")
	}
}

func TestContent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{file, "-", helloCID, "/ipfs/" + helloCID} {
		c, err := Content(arg, strings.NewReader("hello"))
		if err != nil || c.String() != helloCID {
			t.Errorf("%s: %v, %v", arg, c, err)
		}
	}
	for arg, says := range map[string]string{"nothing": "neither a CID nor a file", filepath.Dir(file): "directory", strings.Repeat("b", 5000): ""} {
		_, err := Content(arg, nil)
		wantUsage(t, err, says)
	}
	_, err := CID("bafkqb" + strings.Repeat("a", 200))
	wantUsage(t, err, "")
}

func TestValue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "v")
	if err := os.WriteFile(file, []byte{0, 0xff}, 0o600); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{file: "\x00\xff", "-": "in"} {
		if v, err := Value(arg, strings.NewReader("in")); err != nil || string(v) != want {
			t.Errorf("%s: %q, %v", arg, v, err)
		}
	}
	_, err := Value("nothing", nil)
	wantUsage(t, err, `--text "nothing"`)
	_, err = Value(filepath.Dir(file), nil)
	wantUsage(t, err, "directory")
	_, err = Value("-", endless{})
	wantUsage(t, err, "or more")
	if v, err := Value("-", bytes.NewReader(make([]byte, protocol.MaxFrame))); err != nil || len(v) != protocol.MaxFrame {
		t.Errorf("the largest: %d, %v", len(v), err)
	}
}

// endless never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func FuzzArguments(f *testing.F) {
	for _, s := range []string{"", someID, someAddr + "/p2p/" + someID, helloCID, "/pk/" + someID, "/imm/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func() error{
			func() error { _, err := Bootstrap([]string{s}); return err },
			func() error { _, err := Peer(s); return err },
			func() error { _, err := Target(s); return err },
			func() error { _, err := CID(s); return err },
			func() error { return Listen([]string{s}) },
			func() error {
				key, err := Key(s)
				if err == nil && len(ShowKey(key)) > 8*protocol.MaxValueKey {
					t.Errorf("%q is shown too long", s)
				}
				return err
			},
		} {
			if err := parse(); err != nil {
				wantUsage(t, err, "")
			}
		}
	})
}
