package routing

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Of a table the k nearest are kept at hand and a few of every other bucket.
func TestAtHand(t *testing.T) {
	const k = 20
	self := keyspace.KeyOf([]byte("self"))
	var members []*kademlia.Contact
	for i := range 300 {
		members = append(members, kademlia.NewContact(peer.ID(fmt.Sprint("member ", i)), nil))
	}
	slices.SortFunc(members, func(a, b *kademlia.Contact) int { return keyspace.CompareDistance(&self, &a.Key, &b.Key) })
	kept := atHand(&self, members, k)
	perBucket, all := map[int]int{}, map[int]int{}
	for i, c := range members {
		prefix := keyspace.CommonPrefixLen(&self, &c.Key)
		switch {
		case i < k:
			if !kept.holds(c.ID) {
				t.Errorf("the nearest but %d is not kept", i)
			}
			continue
		case kept.holds(c.ID):
			perBucket[prefix]++
		}
		all[prefix]++
	}
	for prefix, members := range all {
		if want := min(members, farAtHand); perBucket[prefix] != want {
			t.Errorf("of bucket %d %d of %d are kept, want %d", prefix, perBucket[prefix], members, want)
		}
	}
	if len(all) < 3 || kept.holds("a stranger") {
		t.Errorf("%d buckets beyond the nearest; a stranger is kept: %v", len(all), kept.holds("a stranger"))
	}
}

// saver is a Transport that writes down what it is told to keep.
type saver struct {
	*fake
	asked chan func(peer.ID) bool
}

func (s saver) CloseIdle(idle time.Duration, keep func(peer.ID) bool) {
	if idle == idleAfter {
		s.asked <- keep
	}
}

// The transport is told to close what is idle, once the table is not nearly empty.
func TestThrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, fakes := w.overlay(fewPeers+3, Config{})
		for count, want := range map[int]bool{2: false, fewPeers + 3: true} {
			at := saver{w.add(), make(chan func(peer.ID) bool, 100)}
			var gates []peer.AddrInfo
			for _, f := range fakes[:count] {
				gates = append(gates, f.info())
			}
			cfg := Config{BootstrapPeers: gates}
			if !want {
				only := gates[0].ID
				cfg.Filters.Table = func(p peer.AddrInfo) bool { return p.ID == only }
			}
			d, err := newDHT(at, fakeStreams{at.fake}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * idleLook)
			if told := len(at.asked) > 0; told != want {
				t.Errorf("with %d members, told to close: %v", d.Stats().Table, told)
			}
			if want {
				keep := <-at.asked
				if !keep(fakes[0].id) || keep("a stranger") {
					t.Error("a member is not kept, or a stranger is")
				}
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
