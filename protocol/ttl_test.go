package protocol

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestTTL(t *testing.T) {
	publisher := protowire.AppendBytes(protowire.AppendTag(nil, 666, protowire.BytesType), []byte("somebody"))
	r := Record{Unknown: append(bytes.Clone(publisher), 0xc8, 0x30, 0x80, 0x1c)} // 777: 3584, as rust sends it
	if r.TTL() != 3584*time.Second {
		t.Errorf("read as %v", r.TTL())
	}
	less := r.WithTTL(90*time.Minute + time.Millisecond)
	if less.TTL() != 5401*time.Second || !bytes.HasPrefix(less.Unknown, publisher) || r.TTL() != 3584*time.Second {
		t.Errorf("%v with % x, before %v", less.TTL(), less.Unknown, r.TTL())
	}
	if none := less.WithTTL(0); none.TTL() != 0 || !bytes.Equal(none.Unknown, publisher) {
		t.Errorf("%v with % x", none.TTL(), none.Unknown)
	}
	if none := (Record{}).WithTTL(0); none.Unknown != nil {
		t.Errorf("% x", none.Unknown)
	}
	for name, c := range map[string]struct {
		unknown []byte
		ttl     time.Duration
	}{
		"said twice":       {append(bytes.Clone(less.Unknown), 0xc8, 0x30, 5), 5 * time.Second},
		"of another type":  {protowire.AppendFixed32(protowire.AppendTag(nil, ttlField, protowire.Fixed32Type), 7), 0},
		"cut short":        {[]byte{0xc8, 0x30, 0x80}, 0},
		"beyond 32 bits":   {protowire.AppendVarint([]byte{0xc8, 0x30}, 1<<63), (1<<32 - 1) * time.Second},
		"after what isn't": {[]byte{0xff, 0xc8, 0x30, 5}, 0},
	} {
		if got := (&Record{Unknown: c.unknown}).TTL(); got != c.ttl {
			t.Errorf("%s: %v, want %v", name, got, c.ttl)
		}
	}
	if long := r.WithTTL(1<<63 - 1); long.TTL() != (1<<32-1)*time.Second {
		t.Errorf("%v", long.TTL())
	}
}
