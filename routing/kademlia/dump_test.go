package kademlia

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/kdht/kdht/protocol"
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
		Holders: []peer.ID{"a", "b"}, Hops: 3, Dense: true, Region: 7, Joined: true, Recalled: true, Partial: true, Duration: time.Second,
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
		Holders: []peer.ID{"a", "b", "c"}, Hops: 3, Dense: true, Region: 14, Joined: true, Recalled: true, Partial: true, Duration: time.Minute,
	}
	if got := one.Beside(&other); !reflect.DeepEqual(got, want) || len(one.Holders) != 2 || one.Asked != 9 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What people see of the table is what it holds: members and those who wait, how many a
// bucket takes, who is in doubt and who is being probed, how fast they answer.
func TestBucketsSayWhatTheyHold(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	self := testContact(0)
	table := newTable(self.Key, 2, 0)
	var all []*Contact
	for i := uint64(1); len(all) < 4; i++ {
		if c := testContact(i); table.prefix(&c.Key) == 0 {
			all = append(all, c)
			table.insert(now, c)
		}
	}
	e := table.find(&all[0].Key)
	e.doubted, e.probing = true, true
	e.pace.note(100 * time.Millisecond)
	table.buckets[0].refreshed = instantOf(now)
	info := table.info()
	if len(info) != 1 || info[0].Prefix != 0 || info[0].Room != 2 || info[0].Replacements != 2 || !reflect.DeepEqual(info[0].Waiting, all[2:]) || !info[0].Refreshed.Equal(now) {
		t.Fatalf("%+v", info)
	}
	first, second := info[0].Peers[0], info[0].Peers[1]
	if first.Contact != all[0] || !first.Doubted || !first.Probing || first.Took < 100*time.Millisecond || first.Took > 125*time.Millisecond || !first.Seen.Equal(now) {
		t.Errorf("the first: %+v", first)
	}
	if second.Contact != all[1] || second.Doubted || second.Probing || second.Took != 0 {
		t.Errorf("the second: %+v", second)
	}
}

// Every operation is told to have begun and to have ended once, and what is in between
// belongs to it; what was told of the network's size is not older than ten minutes.
func TestTraceBeginsAndEnds(t *testing.T) {
	w := newTown(t, rand.Uint64(), 500)
	began, ended, stored := make(map[QueryID]bool), make(map[QueryID]bool), 0
	r := w.move(func(c *Config) {
		c.Trace = &Trace{
			Began: func(q QueryID, of protocol.Type, key []byte, _ bool) {
				if began[q] || len(key) == 0 || !of.Valid() {
					t.Errorf("%d begins as %v for %q", q, of, key)
				}
				began[q] = true
			},
			Asking: func(q QueryID, _ *Contact, _ int) {
				if !began[q] || ended[q] {
					t.Errorf("%d asks out of its time", q)
				}
			},
			Storing: func(q QueryID, of protocol.Type) {
				if stored++; of != protocol.PutValue {
					t.Errorf("stores by %v", of)
				}
			},
			Ended: func(q QueryID, r *Result) {
				if ended[q] || r == nil {
					t.Errorf("%d ends again, or without result", q)
				}
				ended[q] = true
			},
		}
	})
	w.await(func(done func(time.Time, Result)) {
		r.node.Store(w.now, protocol.Record{Key: []byte("/v/a"), Value: []byte("1")}, done)
	})
	w.await(func(done func(time.Time, Result)) { r.node.FindNode(w.now, []byte("b"), done) })
	if len(began) < 2 || !reflect.DeepEqual(began, ended) || stored < 20 {
		t.Errorf("%d began, %d ended, %d stored", len(began), len(ended), stored)
	}
	samples := r.node.SizeSamples(w.now)
	if len(samples) == 0 || samples[len(samples)-1].Peers < 100 || len(r.node.SizeSamples(w.now.Add(2*sampleLife))) != 0 {
		t.Errorf("samples %v", samples)
	}
}
