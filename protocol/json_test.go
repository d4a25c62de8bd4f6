package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Every well-formed vector goes to JSON and back to protobuf without loss.
func TestJSONVectors(t *testing.T) {
	used := new(Message)
	for _, v := range vectors(t) {
		if v.Expect != "ok" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			want := v.Message.message()
			text, err := JSON.Append(nil, want)
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(text) {
				t.Fatalf("not JSON: %s", text)
			}
			if err := JSON.Decode(text, used); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			checkNoSpare(t, used)
			if typ, err := JSON.Type(text); err != nil || typ != want.Type {
				t.Fatalf("Type: %v, %v, want %v", typ, err, want.Type)
			}
			if v.Name == surplus {
				return
			}
			if !equal(used, want) {
				t.Fatalf("%s\nread as %+v\nwant    %+v", text, used, want)
			}
			if b, err := Protobuf.Append(nil, used); err != nil || !bytes.Equal(b, v.canonical()) {
				t.Fatalf("%v\nencoded %x\nwant    %x", err, b, v.canonical())
			}
		})
	}
}

const (
	idText = "12D3KooWRz8mPycMbhcU74W4KKGgtT8Eq4PzDiWkKW3ViK8KpeiH"
	idHex  = "002408011220f03ba505134ffb9b1a7e046a6176ad278418a081eb71ea522659b549b0fd8266"
)

// What the JSON form looks like.
func TestJSONForm(t *testing.T) {
	id := unhex(idHex)
	tests := []struct {
		message Message
		text    string
	}{
		{Message{}, `{"type":"PUT_VALUE"}`},
		{Message{Type: Ping, ClusterLevel: 1}, `{"type":"PING","clusterLevel":1}`},
		{Message{Type: 99, ClusterLevel: -7}, `{"type":99,"clusterLevel":-7}`},
		{Message{Type: FindNode, Key: id}, `{"type":"FIND_NODE","key":{"multihash":"` + idText + `"}}`},
		{
			Message{Type: GetValue, Key: []byte("/v/\"grüß\"\n"), HasRecord: true},
			`{"type":"GET_VALUE","key":"/v/\"grüß\"\n","record":{}}`,
		},
		{Message{Key: []byte("from right\u202e to left")}, `{"type":"PUT_VALUE","key":{"base64":"ZnJvbSByaWdodOKAriB0byBsZWZ0"}}`},
		{Message{Key: []byte("a\rb")}, `{"type":"PUT_VALUE","key":{"base64":"YQ1i"}}`},
		{
			Message{HasRecord: true, Record: Record{Key: []byte("k"), Value: []byte{0xff, 0}, TimeReceived: []byte("soon\x01"), Unknown: unhex("ea04024142")}},
			`{"type":"PUT_VALUE","record":{"key":"k","value":{"base64":"/wA="},"timeReceived":"soon\u0001","unknown":"6gQCQUI="}}`,
		},
		{
			Message{Type: GetProviders, Unknown: unhex("ea04024142"), ProviderPeers: []Peer{
				{ID: id, Addrs: [][]byte{unhex("047f00000106a02a"), {}, {0xff}}, Connection: Connected},
				{ID: []byte("no id"), Connection: 7, Unknown: unhex("2001")},
				{ID: unhex("12020102")},
				{ID: []byte(longID)},
				{},
			}},
			`{"type":"GET_PROVIDERS","providerPeers":[` +
				`{"id":"` + idText + `","addrs":["/ip4/127.0.0.1/tcp/41002",{"base64":""},{"base64":"/w=="}],"connection":"CONNECTED"},` +
				`{"id":{"base64":"bm8gaWQ="},"connection":7,"unknown":"IAE="},` +
				`{"id":{"base64":"EgIBAg=="}},{"id":{"base64":"` + base64.StdEncoding.EncodeToString([]byte(longID)) + `"}},{}],"unknown":"6gQCQUI="}`,
		},
	}
	for _, test := range tests {
		text, err := JSON.Append(nil, &test.message)
		if err != nil || string(text) != test.text {
			t.Errorf("%v\ngot  %s\nwant %s", err, text, test.text)
		}
		var m Message
		if err := JSON.Decode(text, &m); err != nil || !equal(&m, &test.message) {
			t.Errorf("%s\nread as %+v, %v", text, m, err)
		}
	}
}

// What people write and the codec reads besides its own form.
var jsonReads = func() []jsonRead {
	id := unhex(idHex)
	return []jsonRead{
		{`{}`, Message{}},
		{" { \"clusterLevel\" :\t1 ,\r\n\"type\": 4 } ", Message{Type: FindNode, ClusterLevel: 1}},
		{`{"type":-1,"clusterLevel":-2147483648}`, Message{Type: -1, ClusterLevel: -1 << 31}},
		{`{"clusterLevel":2147483647}`, Message{ClusterLevel: 1<<31 - 1}},
		{`{"key":"\u0041\ud83d\ude00\/\b\f\r\\"}`, Message{Key: []byte("A\U0001f600/\b\f\r\\")}},
		{`{"key":{"base64":"QQ=="}}`, Message{Key: []byte("A")}},
		{`{"key":{"multihash":"bafzaajaiaejcb4b3uucrgt73tmnh4bdkmf3k2j4edcqid23r5jjcmwnvjgyp3atg"}}`, Message{Key: id}},
		{`{"closerPeers":[],"providerPeers":[{"addrs":[]}]}`, Message{ProviderPeers: []Peer{{}}}},
		{`{"closerPeers":[{"id":{"multihash":"` + idText + `"},"addrs":["/ip6/::1/udp/1/quic-v1"],"connection":1}]}`, Message{
			CloserPeers: []Peer{{ID: id, Addrs: [][]byte{unhex("29000000000000000000000000000000019102" + "0001" + "cd03")}, Connection: Connected}},
		}},
	}
}()

type jsonRead struct {
	text string
	want Message
}

func TestJSONReads(t *testing.T) {
	for _, test := range jsonReads {
		var m Message
		if err := JSON.Decode([]byte(test.text), &m); err != nil || !equal(&m, &test.want) {
			t.Errorf("%s\nread as %+v, %v", test.text, m, err)
		}
		if typ, err := JSON.Type([]byte(test.text)); err != nil || typ != test.want.Type {
			t.Errorf("%s\nof type %v, %v", test.text, typ, err)
		}
	}
}

// longID is a peer id too long to be read as text.
var longID = peer.ID(append([]byte{0, 120}, make([]byte, 120)...))

var jsonRefused = []string{
	``, ` `, `null`, `[]`, `"PING"`, `{`, `{}}`, `{} {}`, "{}\x00", "\ufeff{}", `{,}`, `{"type":"PING",}`, `{"type" "PING"}`,
	`{"type":"PING" "key":"a"}`, `{"type":"ping"}`, `{"type":"FIND\u005fNODE"}`, `{"type":null}`, `{"type":1.0}`, `{"type":1e1}`,
	`{"type":01}`, `{"type":-}`, `{"type":+1}`, `{"type":2147483648}`, `{"type":-2147483649}`, `{"type":99999999999999999999}`,
	`{"Type":"PING"}`, `{"typ\u0065":"PING"}`, `{"type":"PING","type":"PING"}`, `{"what":1}`, `{"clusterLevel":"1"}`,
	`{"key":null}`, `{"key":1}`, `{"key":"a`, `{"key":"a\`, `{"key":"a\x"}`, `{"key":"\u12"}`, `{"key":"\u12g4"}`, "{\"key\":\"a\nb\"}", "{\"key\":\"\\n\n\"}",
	`{"key":"\ud83d"}`, `{"key":"\ude00"}`, `{"key":"\ud83d\u0041"}`, `{"key":"\ud83d\ud83d"}`, `{"key":"\ud83d\uffff"}`, "{\"key\":\"\xff\"}",
	`{"key":{}}`, `{"key":{"hex":"00"}}`, `{"key":{"base64":"QQ"}}`, `{"key":{"base64":"QR=="}}`, `{"key":{"base64":"Q\nQ=="}}`,
	`{"key":{"base64":"QQ==","multihash":"` + idText + `"}}`, `{"key":{"base64":"QQ=="]}`, `{"key":{"multihash":"12D3"}}`, `{"key":{"multihash":"` + longID.String() + `"}}`, `{"closerPeers":[{"id":"` + longID.String() + `"}]}`,
	`{"record":null}`, `{"record":[]}`, `{"record":{"author":"me"}}`, `{"record":{"timeReceived":5}}`,
	`{"closerPeers":{}}`, `{"closerPeers":[{},]}`, `{"closerPeers":[null]}`, `{"closerPeers":[{"id":""}]}`, `{"closerPeers":[{"id":"12D3"}]}`,
	`{"closerPeers":[{"addrs":["127.0.0.1"]}]}`, `{"closerPeers":[{"addrs":[""]}]}`, `{"closerPeers":[{"addrs":["/ip4/1.2.3.4/` + strings.Repeat("/", 1024) + `"]}]}`,
	`{"unknown":"CAU="}`, `{"unknown":"6gQCQQ=="}`, `{"unknown":{"base64":"6gQCQUI="}}`, `{"record":{"unknown":"CgA="}}`, `{"closerPeers":[{"unknown":"GAE="}]}`,
}

func TestJSONRefuses(t *testing.T) {
	for _, text := range jsonRefused {
		if err := JSON.Decode([]byte(text), new(Message)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}

func TestJSONRefusesToWrite(t *testing.T) {
	for name, m := range map[string]*Message{
		"known as unknown":      {Unknown: unhex("0805")},
		"half an unknown field": {Unknown: unhex("ea0402")},
		"known in a record":     {HasRecord: true, Record: Record{Unknown: unhex("0a00")}},
		"known in a peer":       {ProviderPeers: []Peer{{Unknown: unhex("1801")}}},
		"time not UTF-8":        {HasRecord: true, Record: Record{TimeReceived: []byte{0xff}}},
	} {
		b, err := JSON.Append([]byte("before"), m)
		if !errors.Is(err, ErrMalformed) || string(b) != "before" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
