package keyspace

import (
	"encoding/hex"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// The vectors of wire.md §4.
func TestKeyOf(t *testing.T) {
	for data, want := range map[string]string{
		"0024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e976051b1e63af14d": "e43d28f0996557c0d5571d75c62a57a59d7ac1d30a51ecedcdb9d5e4afa56100",
		"1220e536c7f88d731f374dccb568aff6f56e838a19382e488039b1ca8ad2599e82fe":         "d623250f3f660ab4c3a53d3c97b3f6a0194c548053488d093520206248253bcb",
		hex.EncodeToString([]byte("/v/a")):                                             "36d801a050478df314e657051a928b4012747b1b9d47bc998f32e4fd0f5b9a72",
		"12202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824":         "8303f770736d5856a269f713c6ed79ed1217ee0bf60fd0d7547a2b8dbc0baa9a",
	} {
		raw, err := hex.DecodeString(data)
		if err != nil {
			t.Fatal(err)
		}
		if got := KeyOf(raw).String(); got != want {
			t.Errorf("key of %s is %s, want %s", data, got, want)
		}
		if KeyOf(raw) != KeyOfString(string(raw)) {
			t.Errorf("the key of %s depends on how its bytes are held", data)
		}
	}
}

func drawKey(t *rapid.T, label string) (k Key) {
	copy(k[:], rapid.SliceOfN(rapid.Byte(), len(k), len(k)).Draw(t, label))
	return k
}

// All that is said of distances, against integers of the standard library.
func TestDistanceAgainstBigIntegers(t *testing.T) {
	integer := func(k Key) *big.Int { return new(big.Int).SetBytes(k[:]) }
	rapid.Check(t, func(t *rapid.T) {
		a, b, target := drawKey(t, "a"), drawKey(t, "b"), drawKey(t, "target")
		if rapid.Bool().Draw(t, "near") {
			b = a
			b[rapid.IntRange(0, 31).Draw(t, "byte")] ^= rapid.Byte().Draw(t, "flip")
		}
		d := new(big.Int).Xor(integer(a), integer(b))
		if got := DistanceOf(&a, &b); integer(got).Cmp(d) != 0 {
			t.Fatalf("distance %v, want %x", got, d)
		}
		if got := CommonPrefixLen(&a, &b); got != Bits-d.BitLen() {
			t.Fatalf("common prefix %d, want %d", got, Bits-d.BitLen())
		}
		if a.Compare(&b) != integer(a).Cmp(integer(b)) {
			t.Fatal("keys are ordered as no integers are")
		}
		want := new(big.Int).Xor(integer(a), integer(target)).Cmp(new(big.Int).Xor(integer(b), integer(target)))
		if got := CompareDistance(&target, &a, &b); got != want {
			t.Fatalf("compare says %d, want %d", got, want)
		}
		for i := range Bits {
			if uint(a.Bit(i)) != integer(a).Bit(Bits-1-i) {
				t.Fatalf("bit %d", i)
			}
		}
	})
}
