package protocol

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"
	"pgregory.net/rapid"
)

const (
	ownP2P     = "a50326" + idHex
	foreignP2P = "a503221220e2935e26c615bd93616a36735d677f08dcffe6d454b48fa53031f61c8c5df1d3"
	tcpAddr    = "047f000001060fa1"
)

var splitTests = []struct {
	about, addr, trimmed string
	ok                   bool
}{
	{"plain", tcpAddr, tcpAddr, true},
	{"own id behind", tcpAddr + ownP2P, tcpAddr, true},
	{"own id twice", tcpAddr + ownP2P + ownP2P, tcpAddr, true},
	{"another's id behind", tcpAddr + foreignP2P, "", false},
	{"another's id and own", tcpAddr + foreignP2P + ownP2P, "", false},
	{"relayed", tcpAddr + foreignP2P + "a202", tcpAddr + foreignP2P + "a202", true},
	{"relayed, own id behind", tcpAddr + foreignP2P + "a202" + ownP2P, tcpAddr + foreignP2P + "a202", true},
	{"relayed to another", tcpAddr + ownP2P + "a202" + foreignP2P, "", false},
	{"own id in front only", ownP2P + "a202", ownP2P + "a202", true},
	{"a bare relay", "a202", "a202", true},
	{"nothing but own id", ownP2P, "", false},
	{"nothing but another's", foreignP2P, "", false},
	{"nothing", "", "", false},
	{"no multiaddr", "02ffff", "", false},
	{"cut", "047f0000", "", false},
	{"text", "2f697034", "", false},
	{"unknown protocol", "047f000001ff7f", "", false},
	{"code not minimal", "847f000001", "", false},
	{"id of no multihash", tcpAddr + "a5030102", "", false},
	{"id of another hash", tcpAddr + "a503" + "03" + "1301ff", "", false},
	{"name with a slash", "3603612f62", "", false},
	{"empty name", "3600", "", false},
	{"onion3 of port 0", "bd03" + strings.Repeat("00", 37), "", false},
	{"empty path", "900300", "", false},
	{"empty http-path", "e10300", "", false},
	{"path and more", "900304" + "2f746d70" + "060fa1", "", false},
}

func TestSplitP2P(t *testing.T) {
	id := unhex(idHex)
	for _, test := range splitTests {
		addr := unhex(test.addr)
		trimmed, ok := SplitP2P(addr, id)
		if ok != test.ok || (ok && hex.EncodeToString(trimmed) != test.trimmed) {
			t.Errorf("%s: %x, %t, want %s, %t", test.about, trimmed, ok, test.trimmed, test.ok)
		}
		checkSplit(t, addr, id)
	}
	long := bytes.Repeat(unhex("060fa1"), maxAddr/3)
	if _, ok := SplitP2P(long, id); !ok {
		t.Errorf("%d bytes refused", len(long))
	}
	if _, ok := SplitP2P(append(long, unhex("060fa1")...), id); ok {
		t.Errorf("%d bytes taken", len(long)+3)
	}
}

// checkSplit compares SplitP2P with what the multiaddr library says.
func checkSplit(t fataler, addr, id []byte) {
	t.Helper()
	trimmed, ok := SplitP2P(addr, id)
	ma, err := multiaddr.NewMultiaddrBytes(addr)
	want := err == nil && len(addr) > 0 && len(addr) <= maxAddr
	for want && len(ma) > 0 {
		last := ma[len(ma)-1]
		if last.Code() != multiaddr.P_P2P {
			break
		}
		want = bytes.Equal(last.RawValue(), id)
		ma = ma[:len(ma)-1]
	}
	want = want && len(ma) > 0
	if ok != want || (ok && !bytes.Equal(trimmed, ma.Bytes())) {
		t.Fatalf("%x of %x\nsplit %x, %t, want %x, %t", addr, id, trimmed, ok, ma, want)
	}
}

func TestSplitP2PAgreesWithLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := rapid.OneOf(someAddr, someBytes).Draw(t, "addr")
		checkSplit(t, addr, unhex(idHex))
	})
}

// The text of an address is the library's, and whatever it reads as text it
// reads here as the same bytes.
func TestAddrTextAgreesWithLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := someAddr.Draw(t, "addr")
		text, ok := appendAddrText(nil, addr)
		ma, err := multiaddr.NewMultiaddrBytes(addr)
		if err != nil {
			if ok {
				t.Fatalf("%x has no text, got %s (%v)", addr, text, err)
			}
			return
		}
		if ok && string(text) != ma.String() {
			t.Fatalf("%x\nwritten %s\nwant    %s", addr, text, ma)
		}
		s := ma.String()
		if i := rapid.IntRange(0, len(s)).Draw(t, "place"); rapid.Bool().Draw(t, "change") {
			s = s[:i] + rapid.SampledFrom([]string{"/", "0", "1", ":", "%", "::", "/ip4/", "/tcp/1", "/ipfs/"}).Draw(t, "with") + s[i:]
		}
		checkParse(t, s)
	})
	for _, s := range []string{
		"", "/", "//", "ip4", "/ip4", "/ip4/", "/ip4//tcp/1", "/ip4/1.2.3.4/", "/ip4/1.2.3.4//", "/ip4/1.2.3.4/tcp", "/ip4/1.2.3.4//tcp/1",
		"/ip6/1.2.3.4", "/ip4/::ffff:1.2.3.4", "/ip6/::ffff:1.2.3.4", "/ip4/::1", "/ip6/fe80::1%eth0", "/ip4/01.2.3.4", "/tcp/+1", "/tcp/01", "/tcp/65536", "/tcp/-1", "/tcp/ 1",
		"/p2p/" + idText, "/ipfs/" + idText, "/p2p/12D3", "/p2p/CovLVG4fQcqV8jwxEhyKfCeMigc3G5yxTTnpsHWcTB9fvTKsuyPJ61rogJx7TbSqz3rifgb",
		"/p2p/bafzaajaiaejcb4b3uucrgt73tmnh4bdkmf3k2j4edcqid23r5jjcmwnvjgyp3atg",
		"/p2p/b" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(unhex("0172"+"1304"+"01020304"))),
	} {
		checkParse(t, s)
	}
}

// checkParse compares parseAddrText with what the multiaddr library says.
func checkParse(t fataler, s string) {
	t.Helper()
	want, wantErr := multiaddr.NewMultiaddr(s)
	got, err := parseAddrText([]byte("before"), s)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: %v, want %v", s, err, wantErr)
	}
	if err == nil && string(got) != "before"+string(want.Bytes()) {
		t.Fatalf("%s\nread as %x\nwant    %x", s, got, want.Bytes())
	}
}

// An address whose text would be read as another, or as none, has no text.
func TestAddrWithoutText(t *testing.T) {
	for about, addr := range map[string]string{
		"a path that ends in a slash": "9003052f746d702f",
		"a name that is not UTF-8":    "3602ff61",
		"no multiaddr":                "02ffff",
		"nothing":                     "",
	} {
		if text, ok := appendAddrText([]byte("before"), unhex(addr)); ok || string(text) != "before" {
			t.Errorf("%s: %q", about, text)
		}
	}
}

// An address that is hostile to print is not printed.
func TestAddrTextIsBounded(t *testing.T) {
	value := strings.Repeat("7f", 300)
	addr := unhex("a503" + "af02" + "00" + "ac02" + value)
	if text, ok := appendAddrText(nil, addr); ok {
		t.Errorf("an id of 300 bytes has the text %s", text)
	}
	ma, err := multiaddr.NewMultiaddrBytes(addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseAddrText(nil, ma.String()); err == nil {
		t.Errorf("%s is read", ma)
	}
	m := &Message{CloserPeers: []Peer{{ID: unhex("00ac02" + value), Addrs: [][]byte{addr}}}}
	text, err := JSON.Append(nil, m)
	if err != nil || bytes.Count(text, []byte("base64")) != 2 {
		t.Errorf("%s, %v", text, err)
	}
	var back Message
	if err := JSON.Decode(text, &back); err != nil || !equal(&back, m) {
		t.Errorf("%v", err)
	}
}
