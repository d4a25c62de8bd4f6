package hostile

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/kdht/kdht/test/hostile/raw"
	"google.golang.org/protobuf/encoding/protowire"
)

// provocations are the frames of the attack of that name.
func provocations(s *Assault, self []byte) [][]byte {
	rng := s.rng(1 << 21)
	var frames [][]byte
	say := func(m raw.Message) { frames = append(frames, m.Frame()) }
	addr := addrBytes("/ip4/127.0.0.1/tcp/1")
	for _, id := range [][]byte{nil, {0}, {0x12, 0x20}, {0x00, 0x7f}, bytes.Repeat([]byte{0xff}, 64), raw.Bytes(rng, 5000)} {
		for _, a := range [][]byte{nil, {}, {0xff}, {4, 127}, addrBytes("/dns4/localhost/tcp/1"), bytes.Repeat(addr, 500), raw.Bytes(rng, 9000)} {
			peers := []raw.Peer{{ID: id, Addrs: [][]byte{a, a}}, {ID: self, Addrs: [][]byte{a}}}
			say(raw.Message{Type: raw.AddProvider, Key: multihash(rng), Providers: peers})
			say(raw.Message{Type: raw.Ping, Closer: peers, Providers: peers})
		}
	}
	for _, key := range [][]byte{{}, {'/'}, []byte("//"), []byte("/pk/"), []byte("/mut//"), []byte("/imm/x"), bytes.Repeat([]byte{'/'}, 2000), raw.Bytes(rng, 1<<20)} {
		for typ := raw.PutValue; typ <= raw.Ping; typ++ {
			say(raw.Message{Type: typ, Key: key, Value: raw.Bytes(rng, 40)})
			say(raw.Message{Type: typ, Key: key, Value: []byte{}})
		}
	}
	for _, typ := range []uint64{6, 127, 1 << 31, 1<<32 + 4, 1<<64 - 1} {
		body := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), typ)
		frames = append(frames, raw.Prefixed(body))
	}
	for _, level := range []uint64{0, 1 << 31, 1<<63 - 1, 1<<64 - 1} {
		extra := protowire.AppendVarint(protowire.AppendTag(nil, 10, protowire.VarintType), level)
		say(raw.Message{Type: raw.FindNode, Key: []byte{1}, Extra: extra})
		say(raw.Message{Type: raw.Ping, Extra: extra})
	}
	frames = append(frames, signedNonsense(s)...)
	for _, b := range []string{
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 50_000), `{"type":"PING","type":"FIND_NODE"}`,
		`{"type":1e999}`, "\"" + strings.Repeat(`\ud800`, 1000) + "\"",
	} {
		frames = append(frames, raw.Prefixed([]byte(b)))
	}
	return frames
}

// signedNonsense are values under signed names whose envelopes are broken.
func signedNonsense(s *Assault) (frames [][]byte) {
	id := raw.Key(s.seed, 0).GetPublic()
	public, err := id.Raw()
	if err != nil {
		return nil
	}
	rng := s.rng(1 << 22)
	pk := []byte("/pk/" + string(append([]byte{0, 0x24, 8, 1, 0x12, 0x20}, public...)))
	for n := range 40 {
		value := raw.Bytes(rng, n*7)
		frames = append(frames,
			raw.Message{Type: raw.PutValue, Key: []byte("/mut/" + s.ID.String() + "/x"), Value: value}.Frame(),
			raw.Message{Type: raw.PutValue, Key: []byte("/imm/" + hex.EncodeToString(raw.Bytes(rng, 32))), Value: value}.Frame(),
			raw.Message{Type: raw.PutValue, Key: pk, Value: value}.Frame())
	}
	return frames
}
