package profile

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/multiformats/go-multiaddr"
	"pgregory.net/rapid"
)

const relay = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"

func binary(t testing.TB, text string) []byte {
	t.Helper()
	a, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return a.Bytes()
}

// Every class of address: p public, l local, n neither.
var classes = map[string]string{
	// Of the public Internet, in every form that peers announce.
	"/ip4/8.8.8.8/tcp/4001":                            "p",
	"/ip4/8.8.8.8/udp/4001/quic-v1":                    "p",
	"/ip4/100.63.255.255/tcp/1":                        "p",
	"/ip4/172.32.0.1/tcp/1":                            "p",
	"/ip4/192.0.1.1/tcp/1":                             "p",
	"/ip4/223.255.255.255/tcp/1":                       "p",
	"/ip6/2a00:1450:4001::1/tcp/4001":                  "p",
	"/ip6/2606:4700::1111/udp/4001/quic-v1":            "p",
	"/ip4/8.8.8.8/tcp/4001/ws":                         "p",
	"/ip4/8.8.8.8/udp/4001/quic-v1/webtransport":       "p",
	"/ip4/8.8.8.8/tcp/4001/tls/sni/a.b/ws":             "p",
	"/ip4/8.8.8.8/tcp/1/p2p/" + relay + "/p2p-circuit": "p",
	"/dns4/a.com/tcp/443":                              "p",
	"/dns6/a.com/tcp/443/wss":                          "p",
	"/dns/x.y.libp2p.direct/tcp/4001/tls/ws":           "p",
	"/dns4/A.COM./tcp/443":                             "p",
	// Local networks.
	"/ip4/10.0.0.1/tcp/1":                               "l",
	"/ip4/172.16.0.1/udp/1/quic-v1":                     "l",
	"/ip4/172.31.255.255/tcp/1":                         "l",
	"/ip4/192.168.255.255/tcp/1":                        "l",
	"/ip4/100.64.0.1/tcp/1":                             "l",
	"/ip4/169.254.1.1/tcp/1":                            "l",
	"/ip6/fd12:3456::1/tcp/1":                           "l",
	"/ip6/fe80::1/tcp/1":                                "l",
	"/ip4/10.0.0.1/tcp/1/p2p/" + relay + "/p2p-circuit": "l",
	// Secrets of clouds.
	"/ip4/169.254.169.254/tcp/80": "n",
	"/ip4/169.254.170.2/tcp/80":   "n",
	"/ip4/100.100.100.200/tcp/80": "n",
	"/ip4/168.63.129.16/tcp/80":   "n",
	"/ip4/192.0.0.192/tcp/80":     "n",
	"/ip6/fd00:ec2::254/tcp/80":   "n",
	// This machine, everybody, nobody.
	"/ip4/127.0.0.1/tcp/1":       "n",
	"/ip4/127.255.255.255/tcp/1": "n",
	"/ip4/0.0.0.0/tcp/1":         "n",
	"/ip4/0.1.2.3/tcp/1":         "n",
	"/ip4/224.0.0.1/udp/1":       "n",
	"/ip4/239.255.255.250/udp/1": "n",
	"/ip4/240.0.0.1/tcp/1":       "n",
	"/ip4/255.255.255.255/udp/1": "n",
	"/ip6/::1/tcp/1":             "n",
	"/ip6/::/tcp/1":              "n",
	"/ip6/ff02::1/udp/1":         "n",
	// Documentation and benchmarks.
	"/ip4/192.0.2.1/tcp/1":    "n",
	"/ip4/198.51.100.1/tcp/1": "n",
	"/ip4/203.0.113.1/tcp/1":  "n",
	"/ip4/198.18.0.1/tcp/1":   "n",
	"/ip4/192.88.99.1/tcp/1":  "n",
	"/ip6/2001:db8::1/tcp/1":  "n",
	"/ip6/3fff:fff::1/tcp/1":  "n",
	"/ip6/2001:2::1/tcp/1":    "n",
	"/ip6/100::1/tcp/1":       "n",
	"/ip6/5f00::1/tcp/1":      "n",
	// IPv4 in IPv6.
	"/ip6/::ffff:8.8.8.8/tcp/1":   "n",
	"/ip6/::ffff:127.0.0.1/tcp/1": "n",
	"/ip6/::ffff:10.0.0.1/tcp/1":  "n",
	"/ip6/::127.0.0.1/tcp/1":      "n",
	"/ip6/64:ff9b::7f00:1/tcp/1":  "n",
	"/ip6/64:ff9b::808:808/tcp/1": "n",
	"/ip6/64:ff9b:1::a00:1/tcp/1": "n",
	"/ip6/2002:7f00:1::1/tcp/1":   "n",
	"/ip6/2001:0:7f00:1::1/tcp/1": "n",
	"/ip6/fec0::1/tcp/1":          "n",
	// A zone is somebody else's name of a network card.
	"/ip6zone/eth0/ip6/fe80::1/tcp/1":      "n",
	"/ip6zone/eth0/ip6/2606:4700::1/tcp/1": "n",
	// Names that are none of the public DNS, or more than one place.
	"/dns4/localhost/tcp/1":                 "n",
	"/dns4/x.localhost/tcp/1":               "n",
	"/dns4/internal/tcp/1":                  "n",
	"/dns4/metadata.google.internal/tcp/80": "n",
	"/dns4/printer.local/tcp/1":             "n",
	"/dns4/router.home.arpa/tcp/1":          "n",
	"/dns4/127.0.0.1/tcp/1":                 "n",
	"/dns4/8.8.8.8/tcp/1":                   "n",
	"/dns4/2130706433/tcp/1":                "n",
	"/dns4/a.0x7f/tcp/1":                    "n",
	"/dns4/a..com./tcp/1":                   "p", // nobody has it; the DNS says so
	"/dns4/.com/tcp/1":                      "n",
	"/dns4/./tcp/1":                         "n",
	"/dns4/a b.com/tcp/1":                   "n",
	"/dns4/a.com%0/tcp/1":                   "n",
	"/dnsaddr/bootstrap.libp2p.io":          "n",
	"/dnsaddr/bootstrap.libp2p.io/tcp/4001": "n",
	"/dnsaddr/a.com/p2p/" + relay:           "n",
	// What says nothing of where it leads, or says it twice.
	"/ip4/8.8.8.8":        "n",
	"/ip4/8.8.8.8/tcp/0":  "n",
	"/ip4/8.8.8.8/sctp/1": "n",
	"/dns4/a.com":         "n",

	"/ip4/8.8.8.8/tcp/1/ip4/127.0.0.1/tcp/22":            "n",
	"/ip4/8.8.8.8/tcp/1/dns4/a.com":                      "n",
	"/ip4/8.8.8.8/tcp/1/udp/2":                           "n",
	"/ip4/8.8.8.8/ip4/8.8.8.8/tcp/1":                     "n",
	"/ip4/8.8.8.8/ipcidr/8/tcp/1":                        "n",
	"/tcp/1":                                             "n",
	"/unix/var/run/docker.sock":                          "n",
	"/memory/1":                                          "n",
	"/onion/timaq4ygg2iegci7:80":                         "n",
	"/p2p/" + relay:                                      "n",
	"/p2p/" + relay + "/p2p-circuit":                     "n",
	"/p2p-circuit":                                       "n",
	"/ip4/8.8.8.8/tcp/1/p2p-circuit":                     "n",
	"/ip4/127.0.0.1/tcp/1/p2p/" + relay + "/p2p-circuit": "n",
	"/ip4/8.8.8.8/tcp/1/p2p/" + relay + "/p2p-circuit/p2p/" + relay + "/p2p-circuit": "n",
	"/ip4/8.8.8.8/tcp/1/p2p/" + relay + "/p2p-circuit/ip4/127.0.0.1/tcp/22":          "n",
}

func TestClasses(t *testing.T) {
	for text, class := range classes {
		a := binary(t, text)
		for p, admits := range map[Profile]bool{Private: true, Public: class == "p", LAN: class == "l"} {
			if p.Admits(a) != admits {
				t.Errorf("%s: %s admits it: %v", text, p, !admits)
			}
			if cut := p.Cut([][]byte{a}); (len(cut) == 1) != admits {
				t.Errorf("%s: %s cuts it to %d", text, p, len(cut))
			}
			dials := admits && !(p == Public && bytes.HasPrefix([]byte(text), []byte("/dns")))
			if p.Dials(a) != dials {
				t.Errorf("%s: %s dials it: %v", text, p, !dials)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	whole := binary(t, "/ip4/8.8.8.8/tcp/4001/p2p/"+relay+"/p2p-circuit")
	addrs := [][]byte{nil, {}, {0xff}, {4}, {4, 8, 8, 8}, {53, 0xff, 0xff, 0xff, 0xff, 0x7f, 'a'}, bytes.Repeat([]byte{0xff}, 2000)}
	for n := 1; n < len(whole)-2; n++ {
		if n != len("4abcd6pp") { // the address without a relay
			addrs = append(addrs, whole[:n])
		}
	}
	for _, a := range addrs {
		for _, p := range []Profile{Public, LAN} {
			if p.Admits(a) || p.Dials(a) || len(p.Cut([][]byte{a})) > 0 {
				t.Errorf("%s takes %x", p, a)
			}
		}
		if !Private.Admits(a) {
			t.Errorf("private refuses %x, which is not its business", a)
		}
	}
}

func TestNamesOfOnePeer(t *testing.T) {
	var addrs [][]byte
	for _, text := range []string{
		"/dns4/a.com/tcp/1", "/dns4/a.com/udp/1/quic-v1", "/ip4/8.8.8.8/tcp/1", "/dns6/b.com/tcp/1", "/dns4/c.com/tcp/1", "/dns4/b.com/tcp/2", "/dns4/d.com/tcp/1",
	} {
		addrs = append(addrs, binary(t, text))
	}
	want := [][]byte{addrs[0], addrs[1], addrs[2], addrs[3], addrs[5]}
	if got := Public.Cut(addrs); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("kept %q, want two names", got)
	}
}

// The name of a relay is left to be resolved when the relay is dialed.
func TestDialsRelayByName(t *testing.T) {
	a := binary(t, "/dns4/a.com/tcp/1/p2p/"+relay+"/p2p-circuit")
	if !Public.Dials(a) {
		t.Error("a relay by name is refused")
	}
}

// Cut keeps order, changes nothing, and agrees with Admits; nothing it keeps
// for Public leads where Go's own classes say that it must not.
func TestCutProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var addrs [][]byte
		for range rapid.IntRange(0, 20).Draw(t, "count") {
			a := []byte{4}
			if rapid.Bool().Draw(t, "six") {
				a = append([]byte{41}, rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip6")...)
				if rapid.Bool().Draw(t, "global") {
					a[1] = 0x20 | a[1]&0x1f
				}
			} else {
				a = append(a, rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ip4")...)
			}
			addrs = append(addrs, append(a, append([]byte{6}, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "rest")...)...))
		}
		before := slices.Clone(addrs)
		for _, p := range []Profile{Private, Public, LAN} {
			want := slices.DeleteFunc(slices.Clone(addrs), func(a []byte) bool { return !p.Admits(a) })
			if got := p.Cut(addrs); !slices.EqualFunc(got, want, bytes.Equal) || !slices.EqualFunc(addrs, before, bytes.Equal) {
				t.Fatalf("%s cuts %x to %x, want %x", p, before, got, want)
			}
		}
		for _, a := range Public.Cut(addrs) {
			w, _ := Where(a)
			if ip := w.IP; ip.IsPrivate() || !ip.IsGlobalUnicast() || ip.Is4In6() || ip.Zone() != "" {
				t.Fatalf("public takes %s", ip)
			}
		}
		for _, a := range LAN.Cut(addrs) {
			if w, _ := Where(a); publicIP(w.IP) || w.IP.IsLoopback() {
				t.Fatalf("lan takes %s", w.IP)
			}
		}
	})
}

// What is written in a flag is read back; nothing else is a profile.
func TestNames(t *testing.T) {
	for p := Private; p <= LAN; p++ {
		if q, err := Parse(p.String()); err != nil || q != p || !p.Valid() {
			t.Errorf("%s: %v, %v", p, q, err)
		}
	}
	if _, err := Parse("wan"); err == nil || Profile(3).Valid() {
		t.Error("there is a fourth profile")
	}
}

func TestLocate(t *testing.T) {
	for text, want := range map[string]string{
		"/ip4/8.8.8.8/tcp/4001":                            "8.8.8.8:4001",
		"/ip4/8.8.8.8/udp/258/quic-v1":                     "8.8.8.8:258",
		"/ip6/2606:4700::1/udp/4001/quic-v1":               "[2606:4700::1]:4001",
		"/dns4/a.com/tcp/1":                                "",
		"/ip4/8.8.8.8/tcp/1/p2p/" + relay + "/p2p-circuit": "",
		"/ip4/8.8.8.8":                                     "",
	} {
		at, ok := Locate(binary(t, text))
		if ok != (want != "") || ok && at.String() != want {
			t.Errorf("%s: %v, %v, want %q", text, at, ok, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	addrs := [][]byte{binary(t, "/ip4/8.8.8.8/tcp/4001"), binary(t, "/ip6/2606:4700::1/udp/4001/quic-v1")}
	if n := testing.AllocsPerRun(100, func() { Public.Cut(addrs) }); n != 0 {
		t.Errorf("%v allocations where nothing is cut", n)
	}
}

func FuzzWhere(f *testing.F) {
	for text := range classes {
		f.Add(binary(f, text))
	}
	f.Fuzz(func(t *testing.T, a []byte) {
		w, ok := Where(a)
		if !ok {
			return
		}
		if (w.Name == nil) == (w.IP == netip.Addr{}) {
			t.Errorf("%x leads to a name and an address, or to neither: %+v", a, w)
		}
		if _, err := multiaddr.NewMultiaddrBytes(a); err != nil {
			t.Errorf("%x is no multiaddr: %v", a, err)
		}
	})
}
