package protocol

import (
	"encoding/binary"
	"testing"
)

// answer is a FIND_NODE answer as a deployed peer gives it: n peers of
// Ed25519 keys with four addresses each.
func answer(n int) *Message {
	m := &Message{Type: FindNode, ClusterLevel: 1}
	for i := range n {
		id := unhex(idHex)
		binary.BigEndian.PutUint32(id[34:], uint32(i))
		p := Peer{ID: id, Connection: Connection(i % 2)}
		for _, addr := range []string{"047f00000106a02a", "047f00000191020fa1cd03", "292001067c000000000000000000000001060fa1", "292001067c00000000000000000000000191020fa1cd03"} {
			if len(addr)%2 != 0 {
				panic("BUG: odd hex")
			}
			p.Addrs = append(p.Addrs, unhex(addr))
		}
		m.CloserPeers = append(m.CloserPeers, p)
	}
	return m
}

func benchAppend(b *testing.B, c Codec, m *Message) {
	buf, err := c.Append(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = c.Append(buf[:0], m)
	}
}

func benchDecode(b *testing.B, c Codec, m *Message) {
	buf, err := c.Append(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	var into Message
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Decode(buf, &into); err != nil {
			b.Fatal(err)
		}
	}
}

func request() *Message { return &Message{Type: FindNode, Key: unhex(idHex), ClusterLevel: 1} }

func BenchmarkProtobuf(b *testing.B) {
	b.Run("append/answer", func(b *testing.B) { benchAppend(b, Protobuf, answer(20)) })
	b.Run("append/precoded", func(b *testing.B) {
		m := answer(20)
		for i := range m.CloserPeers {
			m.CloserPeers[i].Precode()
		}
		benchAppend(b, Protobuf, m)
	})
	b.Run("append/request", func(b *testing.B) { benchAppend(b, Protobuf, request()) })
	b.Run("decode/answer", func(b *testing.B) { benchDecode(b, Protobuf, answer(20)) })
	b.Run("decode/answer/fresh", func(b *testing.B) {
		buf, _ := Protobuf.Append(nil, answer(20))
		b.ReportAllocs()
		for b.Loop() {
			_ = Protobuf.Decode(buf, new(Message))
		}
	})
	b.Run("decode/request", func(b *testing.B) { benchDecode(b, Protobuf, request()) })
	b.Run("type/request", func(b *testing.B) { benchType(b, Protobuf, request()) })
	b.Run("type/answer", func(b *testing.B) { benchType(b, Protobuf, answer(20)) })
}

func benchType(b *testing.B, c Codec, m *Message) {
	buf, err := c.Append(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Type(buf)
	}
}

func BenchmarkJSON(b *testing.B) {
	b.Run("append/answer", func(b *testing.B) { benchAppend(b, JSON, answer(20)) })
	b.Run("append/request", func(b *testing.B) { benchAppend(b, JSON, request()) })
	b.Run("decode/answer", func(b *testing.B) { benchDecode(b, JSON, answer(20)) })
	b.Run("decode/request", func(b *testing.B) { benchDecode(b, JSON, request()) })
	b.Run("type/request", func(b *testing.B) { benchType(b, JSON, request()) })
}

func BenchmarkTrim(b *testing.B) {
	m := answer(20)
	b.ReportAllocs()
	for b.Loop() {
		Trim(m)
	}
}

func BenchmarkSplitP2P(b *testing.B) {
	id := unhex(idHex)
	addr := append(unhex("292001067c00000000000000000000000191020fa1cd03a50326"), id...)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := SplitP2P(addr, id); !ok {
			b.Fatal("not split")
		}
	}
}
