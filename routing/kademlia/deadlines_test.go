package kademlia

import (
	"cmp"
	"container/heap"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Keys that are added, moved and removed in any order are due in the order of their
// times, then of registration, and none of them twice.
func TestKeysAreDueInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := repeater{}
		at := make(map[string]time.Time)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			key := string(rune('a' + rapid.IntRange(0, 25).Draw(t, "key")))
			if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
				r.remove([]byte(key))
				delete(at, key)
				continue
			}
			when := epoch.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "at")) * time.Second)
			if err := r.add([]byte(key), when); err != nil {
				t.Fatal(err)
			}
			at[key] = when
		}
		want := make([]*repeated, 0, len(at))
		for key, when := range at {
			p := r.byKey[key]
			if p == nil || !p.at.Equal(when) {
				t.Fatalf("%q is %+v, want it at %v", key, p, when)
			}
			want = append(want, p)
		}
		slices.SortFunc(want, func(a, b *repeated) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order, b.order)) })
		for _, p := range want {
			if next := heap.Pop(&r.due).(*repeated); next != p {
				t.Fatalf("%q is next, want %q", next.key, p.key)
			}
		}
		if len(r.due) > 0 || len(r.byKey) != len(want) {
			t.Fatalf("%d are due and %d known beyond the %d", len(r.due), len(r.byKey), len(want))
		}
	})
}

func TestDeadlinesInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d deadlines
		var want []deadline
		for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(want) == 0 || rapid.IntRange(0, 2).Draw(t, "pop") > 0 {
				x := deadline{instant(rapid.IntRange(0, 20).Draw(t, "at")), RequestID(i)}
				d.push(x)
				want = append(want, x)
				slices.SortFunc(want, func(a, b deadline) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
				continue
			}
			if d[0] != want[0] {
				t.Fatalf("%v is first, want %v", d[0], want[0])
			}
			d.pop()
			want = want[1:]
		}
		if len(d) != len(want) {
			t.Fatalf("%d are left, want %d", len(d), len(want))
		}
	})
}
