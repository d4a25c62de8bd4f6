package store_test

import (
	"fmt"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/store"
)

// A peer publishes a value that only it can change, and changes it.
func ExampleSealMut() {
	now := func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	values := store.NewValues(store.NewMemory(), store.DefaultNamespaces(now), store.ValuesConfig{})
	defer values.Close() //nolint:errcheck // nothing to lose

	priv := exampleKey()
	for seq, text := range []string{"first", "second"} {
		key, sealed, err := store.SealMut(priv, "greeting", uint64(seq), now().Add(24*time.Hour), []byte(text))
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := values.Put(now(), protocol.Record{Key: []byte(key), Value: sealed}); err != nil {
			fmt.Println(err)
			return
		}
		rec, _, err := values.Get(now(), []byte(key))
		if err != nil {
			fmt.Println(err)
			return
		}
		seq, _, value, err := store.OpenMut(key, rec.Value)
		fmt.Println(seq, string(value), err)
	}
	// Output:
	// 0 first <nil>
	// 1 second <nil>
}
