package sim

import "slices"

// kind says what an event is.
type kind uint8

const (
	arrive   kind = iota // a request reaches its target; what is the flight
	comeIn               // the outcome of a request reaches its sender; what is the flight
	wake                 // a node's deadline
	join                 // a member comes up, or looks for its first peer again
	settled              // a member has been there long enough to be found
	depart               // a member's session ends
	look                 // the next lookup starts
	strike               // the peers that are to die, die
	cut                  // the network falls into two
	heal                 // the two are one again
	weigh                // a member has been back for a while
	restart              // a member starts anew
	putFirst             // a record gets its owner; what is the record
	putAgain             // the owner puts it again
	readNext             // the next record is read
	forget               // a member's stores forget what is too old
	jump                 // a member's clock is set wrong
	attack               // an adversary does what it does next
	handOver             // a member's stores answer; what is the reading
	copyAll              // a member looks what it is to put again for others
	gone                 // a member that has said farewell goes down
	task                 // a task happens
)

// event is something that will happen. It holds no pointers, so that a million
// of them cost the garbage collector nothing.
type event struct {
	at   int64  // nanoseconds of virtual time
	rank uint64 // order of making << 8 | kind: equal times happen in order of making
	who  int32
	what int32
}

func (e *event) kind() kind { return kind(e.rank & 0xff) }

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.rank < o.rank }

// Slots of the queue: of a little more than a millisecond each, ahead for a little
// more than a second, in which nearly all events lie.
const (
	slotBits = 20
	slots    = 1 << 10
)

// queue holds what will happen, in order. What lies within the next second or so
// lies unsorted in slots of a millisecond, and is sorted when its slot has come: of
// a million events only the few hundred of one slot are ever compared with each
// other. What comes later is in a heap.
//
// Invariants: events[next:] are those of the current slot and earlier, in order;
// ahead[i%slots] holds those of slot i for the slots after the current one; later
// holds all others.
type queue struct {
	events []event
	next   int
	slot   int64
	ahead  [slots][]event
	near   int // how many are ahead
	later  eventHeap
	made   uint64
}

func (q *queue) len() int { return len(q.events) - q.next + q.near + len(q.later) }

func (q *queue) push(at int64, k kind, who, what int32) {
	q.made++
	e := event{at, q.made<<8 | uint64(k), who, what}
	switch slot := at >> slotBits; {
	case slot <= q.slot:
		i := len(q.events)
		for i > q.next && e.before(&q.events[i-1]) {
			i--
		}
		q.events = slices.Insert(q.events, i, e)
	case slot < q.slot+slots:
		q.ahead[slot%slots] = append(q.ahead[slot%slots], e)
		q.near++
	default:
		q.later.push(e)
	}
}

// pop takes out the earliest event; the queue must not be empty.
func (q *queue) pop() event {
	for q.next == len(q.events) {
		q.turn()
	}
	q.next++
	return q.events[q.next-1]
}

// turn goes on to the next slot in which there may be anything.
func (q *queue) turn() {
	spent := q.events[:0]
	q.slot++
	if q.near == 0 {
		q.slot = q.later[0].at >> slotBits
	}
	due := &q.ahead[q.slot%slots]
	q.events, q.next, *due = *due, 0, spent
	q.near -= len(q.events)
	for len(q.later) > 0 && q.later[0].at>>slotBits <= q.slot {
		q.events = append(q.events, q.later.pop())
	}
	slices.SortFunc(q.events, func(a, b event) int {
		if a.before(&b) {
			return -1
		}
		return 1 // no two are equal
	})
}

// eventHeap is a heap of events with four children a node, which halves the depth
// of a binary one and touches a cache line a level.
type eventHeap []event

func (h *eventHeap) push(e event) {
	*h = append(*h, e)
	all := *h
	i := len(all) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&all[parent]) {
			break
		}
		all[i] = all[parent]
		i = parent
	}
	all[i] = e
}

// pop takes out the earliest event; there must be one.
func (h *eventHeap) pop() event {
	first := (*h)[0]
	n := len(*h) - 1
	last := (*h)[n]
	if *h = (*h)[:n]; n > 0 {
		h.sink(last)
	}
	return first
}

// sink puts e, which has been taken off the end, where it belongs from the top.
func (h eventHeap) sink(e event) {
	i := 0
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(h)); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
}
