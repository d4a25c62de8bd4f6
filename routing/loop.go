package routing

import (
	"time"

	"github.com/kdht/kdht/routing/kademlia"
)

// mailboxSize is how many inputs may wait for the loop; who has one more waits
// itself. The loop does nothing that blocks, so that takes microseconds.
const mailboxSize = 256

// loop is the one goroutine that owns the kademlia.Node. Others post closures to
// it; it runs them one after another and sleeps until the Node's next deadline.
//
// Invariants: nobody else touches node; nothing that runs on the loop waits for
// anything; what has been posted is run, in the order of posting, unless the
// loop is closed before.
type loop struct {
	node    *kademlia.Node
	start   time.Time
	mail    chan func(now time.Time)
	closing chan struct{} // closed by the DHT
	settled func()        // called on the loop after each batch of inputs
}

func newLoop(closing chan struct{}) *loop {
	return &loop{start: time.Now(), mail: make(chan func(time.Time), mailboxSize), closing: closing}
}

// now returns the time by a clock that is never set: deadlines and durations are
// right even if the computer's clock jumps.
func (l *loop) now() time.Time { return l.start.Add(time.Since(l.start)) }

// post has f run on the loop. It returns ErrClosed when the loop is closed, and
// then f is not run. A closing loop may drop what has been posted, so who waits
// for f waits for closing too.
func (l *loop) post(f func(now time.Time)) error {
	select {
	case <-l.closing:
		return ErrClosed
	default:
	}
	select {
	case l.mail <- f:
		return nil
	case <-l.closing:
		return ErrClosed
	}
}

// ask has f run on the loop and returns what it returns.
func ask[T any](l *loop, f func(now time.Time) T) (answer T, err error) {
	reply := make(chan T, 1)
	if err := l.post(func(now time.Time) { reply <- f(now) }); err != nil {
		return answer, err
	}
	select {
	case answer = <-reply:
		return answer, nil
	case <-l.closing:
		return answer, ErrClosed
	}
}

// run is the loop. It returns when closing is closed.
func (l *loop) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		l.advance(timer)
		select {
		case f := <-l.mail:
			l.batch(f)
		case <-timer.C:
		case <-l.closing:
			return
		}
	}
}

// batch runs f and what else is waiting already.
func (l *loop) batch(f func(time.Time)) {
	f(l.now())
	for range mailboxSize {
		select {
		case f := <-l.mail:
			f(l.now())
		default:
			return
		}
	}
}

// advance does what is due, and makes timer fire at the node's next deadline.
func (l *loop) advance(timer *time.Timer) {
	now := l.now()
	deadline := l.node.NextDeadline()
	if due(deadline, now) {
		l.node.Advance(now)
		deadline = l.node.NextDeadline()
	}
	l.settled()
	if deadline.IsZero() {
		timer.Stop()
		return
	}
	// A deadline that is due again already is left to the next turn, so that
	// inputs get theirs.
	timer.Reset(max(time.Nanosecond, deadline.Sub(now)))
}

// due reports whether a deadline, zero if there is none, has come.
func due(deadline, now time.Time) bool { return !deadline.IsZero() && !deadline.After(now) }
