package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// counting counts what it is asked to validate; "good" is valid.
type counting struct{ asked int }

func (c *counting) Validate(_ string, value []byte) error {
	if c.asked++; string(value) != "good" {
		return errors.New("bad signature")
	}
	return nil
}

func (c *counting) Select(string, [][]byte) (int, error) { return 0, nil }

func unitsOf(err error) float64 {
	var costly interface{ Units() float64 }
	if !errors.As(err, &costly) {
		return 0
	}
	return costly.Units()
}

func TestRejectedRecordsAreNotVerifiedAgain(t *testing.T) {
	rules := &counting{}
	s := NewValues(NewMemory(), Namespaces{"v": rules}, ValuesConfig{})
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	put := func(key, value string) error {
		t.Helper()
		return s.Put(now, protocol.Record{Key: []byte(key), Value: []byte(value)})
	}
	expect := func(what string, err error, invalid bool, asked int, units float64) {
		t.Helper()
		if errors.Is(err, ErrInvalid) != invalid || rules.asked != asked || unitsOf(err) != units {
			t.Errorf("%s: %v, validated %d times, %v units; want invalid %v, %d, %v", what, err, rules.asked, unitsOf(err), invalid, asked, units)
		}
		rules.asked = 0
	}
	expect("a good one", put("/v/a", "good"), false, 1, 0)
	expect("a bad one", put("/v/a", "bad"), true, 1, invalidUnits)
	expect("the bad one again", put("/v/a", "bad"), true, 0, 0)
	expect("its value under another key", put("/v/b", "bad"), true, 1, invalidUnits)
	expect("another boundary of key and value", put("/v/", "abad"), true, 1, invalidUnits)
	expect("the good one again", put("/v/a", "good"), false, 1, 0)
	now = now.Add(rejectedFor)
	expect("the bad one after ten minutes", put("/v/a", "bad"), true, 0, 0)
	now = now.Add(2 * time.Second)
	expect("the bad one after more than ten minutes", put("/v/a", "bad"), true, 1, invalidUnits)
	if err := put("/nobody/a", "bad"); !errors.Is(err, ErrNamespace) || unitsOf(err) != 0 {
		t.Errorf("an unknown namespace: %v, %v units", err, unitsOf(err))
	}
	if err := put("/v/a", string(make([]byte, protocol.MaxValue+1))); !errors.Is(err, ErrTooLarge) || unitsOf(err) != 0 {
		t.Errorf("too large: %v, %v units", err, unitsOf(err))
	}
}

// TestRejectedIsBounded: however many bad records come, no more are remembered
// than there are slots, the last one among them, and none is taken for another.
func TestRejectedIsBounded(t *testing.T) {
	var r rejected
	record := func(i int) *protocol.Record {
		return &protocol.Record{Key: []byte("/v/k"), Value: fmt.Append(nil, i)}
	}
	if r.has(1, record(0)) || r.slots != nil {
		t.Fatal("something is remembered before anything was rejected")
	}
	const n = 3 * rejections
	for i := range n {
		if r.has(1, record(i)) {
			t.Fatalf("%d is taken for another", i)
		}
		if r.add(1, record(i)); !r.has(1, record(i)) {
			t.Fatalf("%d is forgotten at once", i)
		}
	}
	known := 0
	for i := range n {
		if r.has(1, record(i)) {
			known++
		}
	}
	if len(r.slots) != rejections || known < rejections/2 || known > rejections {
		t.Errorf("%d of %d known in %d slots", known, n, len(r.slots))
	}
}

// BenchmarkPutRejected is a signed value with a wrong signature: found out, and
// known.
func BenchmarkPutRejected(b *testing.B) {
	now := time.Now()
	priv, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	key, envelope, err := SealMut(priv, "n", 1, now.Add(time.Hour), []byte("value"))
	if err != nil {
		b.Fatal(err)
	}
	for name, fresh := range map[string]bool{"new": true, "known": false} {
		b.Run(name, func(b *testing.B) {
			s := NewValues(NewMemory(), DefaultNamespaces(time.Now), ValuesConfig{})
			bad := protocol.Record{Key: []byte(key), Value: append([]byte(nil), envelope...)}
			bad.Value[len(bad.Value)-1] ^= 1
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if i++; fresh {
					for j := range 4 {
						bad.Value[len(bad.Value)-1-j] = byte(i >> (8 * j))
					}
				}
				if err := s.Put(now, bad); !errors.Is(err, ErrInvalid) {
					b.Fatal(err)
				}
			}
		})
	}
}
