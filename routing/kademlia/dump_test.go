package kademlia

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// The lookups of a refresh are the table's, those that go through a region the caller's.
func TestQueriesSayWhoseTheyAre(t *testing.T) {
	w := newTown(t, rand.Uint64(), 2000)
	var r *resident
	ours, upkeep := 0, 0
	r = w.move(func(c *Config) {
		c.Region = RegionAlways
		c.Trace = &Trace{Asking: func(QueryID, *Contact, int) {
			own, looking := 0, 0
			for _, q := range r.node.Queries() {
				if q.Upkeep {
					looking++
				} else {
					own++
				}
			}
			ours, upkeep = max(ours, own), max(upkeep, looking)
		}}
	})
	w.await(func(done func(time.Time, Result)) { r.node.Provide(w.now, []byte("a"), done) })
	if ours < 2 || upkeep != 0 {
		t.Errorf("of a caller's lookup: %d its own, %d of the table; want some that go through the region, and none", ours, upkeep)
	}
	r.node.refresher.running = false // let it look about
	ours = 0
	r.node.Refresh(w.now, nil)
	w.run()
	if ours != 0 || upkeep == 0 {
		t.Errorf("of a refresh: %d of a caller, %d of the table; want none, and some", ours, upkeep)
	}
}

// What two operations did together takes in every figure of either.
func TestReportsSideBySide(t *testing.T) {
	one := Report{
		Asked: 9, Answered: 3, Failed: Failures{Unreachable: 1, Refused: 1, Timeout: 1, Malformed: 1, Unsupported: 1, Local: 1},
		Holders: []peer.ID{"a", "b"}, Hops: 3, Dense: true, Region: 7, Joined: true, Recalled: true, Duration: time.Second,
	}
	for _, v := range []reflect.Value{reflect.ValueOf(one), reflect.ValueOf(one.Failed)} {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("this test does not set %s.%s", v.Type(), v.Type().Field(i).Name)
			}
		}
	}
	none := Report{}
	if a, b := one.Beside(&none), none.Beside(&one); !reflect.DeepEqual(a, one) || !reflect.DeepEqual(b, one) {
		t.Errorf("beside nothing: %+v and %+v, want %+v", a, b, one)
	}
	other := one
	other.Holders, other.Hops, other.Duration = []peer.ID{"b", "c"}, 2, time.Minute
	want := Report{
		Asked: 18, Answered: 6, Failed: Failures{Unreachable: 2, Refused: 2, Timeout: 2, Malformed: 2, Unsupported: 2, Local: 2},
		Holders: []peer.ID{"a", "b", "c"}, Hops: 3, Dense: true, Region: 14, Joined: true, Recalled: true, Duration: time.Minute,
	}
	if got := one.Beside(&other); !reflect.DeepEqual(got, want) || len(one.Holders) != 2 || one.Asked != 9 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
