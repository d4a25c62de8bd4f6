package hostile

import (
	"encoding/binary"
	"testing"

	"github.com/kdht/kdht/test/hostile/raw"
)

// Each lie names a thousand peers that no other has named, at 20 addresses each.
func TestLies(t *testing.T) {
	all := encodedLies([][]byte{addrBytes("/ip4/127.0.0.1/tcp/1"), addrBytes("/ip4/127.0.0.2/tcp/2")})
	seen := make(map[string]bool)
	for number := range uint64(3) {
		frame := all[raw.GetProviders][1].tell(number)
		_, prefix := binary.Uvarint(frame)
		a, err := raw.Parse(frame[prefix:])
		if err != nil {
			t.Fatal(err)
		}
		if a.Type != raw.GetProviders || len(a.Closer) != 1000 || len(a.Providers) != 100 {
			t.Errorf("type %d, %d and %d peers", a.Type, len(a.Closer), len(a.Providers))
		}
		for _, p := range append(a.Closer, a.Providers...) {
			if seen[string(p.ID)] || len(p.ID) != 34 || p.ID[0] != 0x12 || p.ID[1] != 0x20 || len(p.Addrs) != 20 {
				t.Fatalf("lie %d: %x again, or at %d addresses", number, p.ID, len(p.Addrs))
			}
			seen[string(p.ID)] = true
		}
	}
}
