package kademlia

import (
	"container/heap"
	"time"
)

// timed is something that is due at a time.
type timed interface {
	// due returns the time, and a rank that orders what is due at the same time.
	due() (at time.Time, rank uint64)
	// place notes the position in timers, -1 if there is none.
	place(position int)
}

// timers is what is due, earliest first; the order does not depend on anything
// but times and ranks. It is used through container/heap.
type timers []timed

// next returns the earliest time, zero if nothing is due.
func (t timers) next() time.Time {
	if len(t) == 0 {
		return time.Time{}
	}
	at, _ := t[0].due()
	return at
}

func (t timers) Len() int { return len(t) }

func (t timers) Less(i, j int) bool {
	a, first := t[i].due()
	b, second := t[j].due()
	if !a.Equal(b) {
		return a.Before(b)
	}
	return first < second
}

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place(i)
	t[j].place(j)
}

// Push is for container/heap only.
func (t *timers) Push(x any) {
	e := x.(timed)
	e.place(len(*t))
	*t = append(*t, e)
}

// Pop is for container/heap only.
func (t *timers) Pop() any {
	old := *t
	e := old[len(old)-1]
	old[len(old)-1] = nil
	if *t = old[:len(old)-1]; len(*t) == 0 {
		*t = nil // an idle node holds no room for its busiest hour
	}
	e.place(-1)
	return e
}

var _ heap.Interface = (*timers)(nil)
