package sim

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

// queue is a heap of events with four children a node, which halves the depth of
// a binary one and touches a cache line a level.
type queue struct {
	events []event
	made   uint64
}

func (q *queue) push(at int64, k kind, who, what int32) {
	q.made++
	e := event{at, q.made<<8 | uint64(k), who, what}
	q.events = append(q.events, e)
	i := len(q.events) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&q.events[parent]) {
			break
		}
		q.events[i] = q.events[parent]
		i = parent
	}
	q.events[i] = e
}

// pop takes out the earliest event; the queue must not be empty.
func (q *queue) pop() event {
	first := q.events[0]
	last := q.events[len(q.events)-1]
	q.events = q.events[:len(q.events)-1]
	if n := len(q.events); n > 0 {
		q.sink(last, n)
	}
	return first
}

// sink puts e, which has been taken off the end, where it belongs from the top.
func (q *queue) sink(e event, n int) {
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if q.events[c].before(&q.events[least]) {
				least = c
			}
		}
		if !q.events[least].before(&e) {
			break
		}
		q.events[i] = q.events[least]
		i = least
	}
	q.events[i] = e
}
