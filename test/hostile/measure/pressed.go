package measure

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
)

// press fills both stores with more than half of what they may hold, so that they
// hold every peer to its share from the first record on: provider records with more
// than that, for each of the parts of the store has a budget of its own.
func press(stores *routing.Stores, self keyspace.Key) error {
	stores.Providers = filled(self, store.DefaultMaxProviderRecords*6/10, store.DefaultMaxProviderRecords)
	values := store.NewValues(store.NewMemory(), store.DefaultNamespaces(time.Now), store.ValuesConfig{Self: self})
	stores.Values = values
	value, now := make([]byte, protocol.MaxValue), time.Now()
	for i := uint64(0); values.Bytes() < store.DefaultMaxBytes/2; i++ {
		binary.BigEndian.PutUint64(value, i)
		sum := sha256.Sum256(value)
		if err := values.Put(now, protocol.Record{Key: []byte("/imm/" + hex.EncodeToString(sum[:])), Value: value}); err != nil {
			return err
		}
	}
	return nil
}

// label names the trial: its attack, and what it is made against unless that is a
// node as it starts.
func (t *Trial) label() string {
	switch s := t.Settings; {
	case s.Pressed:
		return t.Attack + ", stores more than half full"
	case s.Subnets:
		return t.Attack + ", subnets bounded"
	}
	return t.Attack
}

// sizes are those of the values that attacks put.
var sizes = map[string]float64{"value-spam": 200, "value-bulk": 60 << 10}

// spammed judges what one peer got into a store under pressure within an hour.
func spammed(j *judge) {
	j.unharmed()
	begin, finish := j.t.During.Begin.DHT.Stored, j.t.During.Finish.DHT.Stored
	records := float64(finish.Providers - begin.Providers)
	size, ofValues := sizes[j.t.Attack]
	if ofValues {
		records = float64(finish.Values - begin.Values)
		j.most("bytes of one peer taken", "8 MiB", records*size, store.DefaultMaxBytesPerPeer)
	}
	j.most("records of one peer taken", "1,000 an hour (half of them at once)", records, store.DefaultMaxPerHour)
	var refused float64
	for kind, of := range j.t.During.Finish.DHT.Server.Types {
		refused += float64(of.Refused - j.t.During.Begin.DHT.Server.Types[kind].Refused)
	}
	j.least("requests that the store refused", "1", refused, 1)
}
