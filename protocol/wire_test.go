package protocol

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// The golden frames of wire.md, length prefix included.
func TestGoldenFrames(t *testing.T) {
	id, hello := unhex(idHex), []byte("hello")
	multihash := unhex("12202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
	addr := unhex("047f00000106a02a")
	stamp := []byte("2026-11-22T14:58:37.708978775Z")
	tests := []struct {
		about string
		frame string
		m     Message
	}{
		{"PING", "04 0805 5001", Message{Type: Ping, ClusterLevel: 1}},
		{"PING without level", "02 0805", Message{Type: Ping}},
		{"FIND_NODE hello", "0b 0804 1205 68656c6c6f 5001", Message{Type: FindNode, Key: hello, ClusterLevel: 1}},
		{"admission check", "2c 0804 1226 " + idHex + " 5001", Message{Type: FindNode, Key: id, ClusterLevel: 1}},
		{"GET_VALUE", "0e 0801 1208 2f762f68656c6c6f 5001", Message{Type: GetValue, Key: []byte("/v/hello"), ClusterLevel: 1}},
		{"GET_PROVIDERS", "28 0803 1222 12202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 5001", Message{Type: GetProviders, Key: multihash, ClusterLevel: 1}},
		{"PUT_VALUE", "13 1204 2f762f61 1a09 0a04 2f762f61 1201 62 5001", Message{
			Key: []byte("/v/a"), HasRecord: true, Record: Record{Key: []byte("/v/a"), Value: []byte("b")}, ClusterLevel: 1,
		}},
		{"PUT_VALUE with time", "33 1204 2f762f61 1a29 0a04 2f762f61 1201 71 2a1e 323032362d31312d32325431343a35383a33372e3730383937383737355a 5001", Message{
			Key: []byte("/v/a"), HasRecord: true, Record: Record{Key: []byte("/v/a"), Value: []byte("q"), TimeReceived: stamp}, ClusterLevel: 1,
		}},
		{"ADD_PROVIDER", "5c 0802 1222 12202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 4a32 0a26 " + idHex + " 1208 047f00000106a02a 5001", Message{
			Type: AddProvider, Key: multihash, ProviderPeers: []Peer{{ID: id, Addrs: [][]byte{addr}}}, ClusterLevel: 1,
		}},
		{"FIND_NODE answer", "3a 0804 4234 0a26 " + idHex + " 1208 047f00000106a02a 1801 5001", Message{
			Type: FindNode, CloserPeers: []Peer{{ID: id, Addrs: [][]byte{addr}, Connection: Connected}}, ClusterLevel: 1,
		}},
		{"unknown field kept", "0a 0805 1201 78 ea04 02 4142", Message{Type: Ping, Key: []byte("x"), Unknown: unhex("ea04024142")}},
	}
	for _, test := range tests {
		frame := unhex(strings.ReplaceAll(test.frame, " ", ""))
		body, err := Protobuf.Append(nil, &test.m)
		if err != nil || !bytes.Equal(append(protowire.AppendVarint(nil, uint64(len(body))), body...), frame) {
			t.Errorf("%s: encoded %x, want %x (%v)", test.about, body, frame, err)
		}
		var m Message
		if err := Protobuf.Decode(frame[1:], &m); err != nil || !equal(&m, &test.m) {
			t.Errorf("%s: decoded %+v (%v)", test.about, m, err)
		}
	}
}
