package rpc

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kdht/kdht/protocol"
)

func timer(after time.Duration, f func()) func() bool { return time.AfterFunc(after, f).Stop }

// slowServer serves FIND_NODE, a request taking `each` of one of workers.
func slowServer(l *Load, each time.Duration) *Server {
	s := NewServer(protocol.Protobuf, nil)
	s.Behind(l)
	s.Handle(protocol.FindNode, func(time.Time, protocol.Remote, *protocol.Message, *protocol.Message) error {
		<-time.After(each)
		return nil
	})
	return s
}

// tally is what became of a peer's requests.
type tally struct {
	served, shed int
	longest      time.Duration
}

// crowd asks a server, and counts by peer.
type crowd struct {
	t      *testing.T
	server *Server
	all    sync.WaitGroup

	mu  sync.Mutex
	got map[string]*tally
}

// ask sends one request.
func (c *crowd) ask(name string) {
	start := time.Now()
	_, _, err := c.server.Serve(start, remote(name), body(find("k")), nil)
	took := time.Since(start)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.got[name]
	if n == nil {
		n = new(tally)
		c.got[name] = n
	}
	switch {
	case err == nil:
		n.served++
		n.longest = max(n.longest, took)
	case errors.Is(err, ErrBusy) && resetCode(err) == network.StreamResourceLimitExceeded:
		n.shed++
	default:
		c.t.Error(err)
	}
}

// offer has a peer send perSecond requests, whatever becomes of them.
func (c *crowd) offer(name string, perSecond int, until time.Time) {
	c.all.Go(func() {
		for time.Now().Before(until) {
			c.all.Go(func() { c.ask(name) })
			<-time.After(time.Second / time.Duration(perSecond))
		}
	})
}

func (c *crowd) sum() (served, shed int) {
	for _, n := range c.got {
		served, shed = served+n.served, shed+n.shed
	}
	return served, shed
}

// TestLoadOverload is reliability.md P25: at twice the capacity, and at ten times,
// as much is served as at the peak, nothing is lost without being counted, and
// those who ask for less than their share get all of it at once.
func TestLoadOverload(t *testing.T) {
	for _, times := range []int{1, 2, 10} {
		synctest.Test(t, func(t *testing.T) {
			const workers, capacity, seconds = 4, 400, 20
			l := NewLoad(LoadConfig{Timer: timer, Workers: workers})
			c := &crowd{t: t, server: slowServer(l, 10*time.Millisecond), got: map[string]*tally{}}
			until := time.Now().Add(seconds * time.Second)
			for i := range 4 {
				c.offer(fmt.Sprint("flooder ", i), times*capacity/4, until)
			}
			if times > 1 {
				c.offer("polite", 20, until) // a fifth of 80, its fair share
			}
			c.all.Wait()
			served, shed := c.sum()
			t.Logf("%d times the capacity: %d served, %d shed, of %d; %+v", times, served, shed, capacity*seconds, l.Stats())
			if served < capacity*seconds*99/100 {
				t.Errorf("at %d times the capacity: %d served, want %d", times, served, capacity*seconds)
			}
			s := l.Stats()
			if total := c.server.Stats().Types[protocol.FindNode]; s.ShedByPeer+s.ShedForOthers+s.ShedLate != uint64(shed) ||
				total.Shed != uint64(shed) || total.Served != uint64(served) {
				t.Errorf("counted %+v and %+v, served %d, shed %d", s, total, served, shed)
			}
			if s.Busy != 0 || s.Waiting != 0 || times > 1 && s.Waited == 0 {
				t.Errorf("afterwards: %+v", s)
			}
			if times == 1 {
				return
			}
			if p := c.got["polite"]; p.shed > 0 || p.longest > 100*time.Millisecond {
				t.Errorf("polite peer: %+v", *p)
			}
			for i := range 4 {
				f := c.got[fmt.Sprint("flooder ", i)]
				if share := (capacity - 20) * seconds / 4; f.served < share*95/100 || f.served > share*105/100 || f.longest > 510*time.Millisecond {
					t.Errorf("flooder %d: %+v, its share is %d", i, *f, share)
				}
			}
		})
	}
}

// TestLoadReservesHalfForMembers: 40 strangers flood; the two peers of the table
// that want more than half together get half.
func TestLoadReservesHalfForMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity, seconds = 400, 20
		l := NewLoad(LoadConfig{Timer: timer, Workers: 4, Entitled: func(id peer.ID) bool { return strings.HasPrefix(string(id), "member") }})
		c := &crowd{t: t, server: slowServer(l, 10*time.Millisecond), got: map[string]*tally{}}
		until := time.Now().Add(seconds * time.Second)
		for i := range 40 {
			c.offer(fmt.Sprint("stranger ", i), capacity/20, until)
		}
		c.offer("member 1", capacity/2, until)
		c.offer("member 2", capacity/2, until)
		c.all.Wait()
		members := c.got["member 1"].served + c.got["member 2"].served
		served, _ := c.sum()
		if members < served*49/100 || members > served*51/100 || served < capacity*seconds*99/100 {
			t.Errorf("%d of %d served to members, want half", members, served)
		}
	})
}

// TestLoadIsWorkConserving: with a worker free nobody waits, and one peer alone
// may have them all.
func TestLoadIsWorkConserving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLoad(LoadConfig{Timer: timer, Workers: 8})
		c := &crowd{t: t, server: slowServer(l, time.Second), got: map[string]*tally{}}
		for range 8 {
			c.all.Go(func() { c.ask("alone") })
		}
		c.all.Wait()
		if got := c.got["alone"]; got.served != 8 || got.longest != time.Second || l.Stats().Waited != 0 {
			t.Errorf("%+v, %+v", *got, l.Stats())
		}
	})
}

// TestLoadBounds: one peer's queue, everybody's queue, and the wait.
func TestLoadBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLoad(LoadConfig{Timer: timer, Workers: 1, MaxWaiting: 5, MaxWaitingPerPeer: 3, MaxWait: 400 * time.Millisecond})
		c := &crowd{t: t, server: slowServer(l, time.Second), got: map[string]*tally{}}
		start := time.Now()
		ask := func(name string) {
			c.all.Go(func() { c.ask(name) })
			synctest.Wait()
		}
		for range 5 {
			ask("greedy") // one is served, three wait, one is too many
		}
		for _, name := range []string{"a", "b", "c"} {
			ask(name) // the last is one more than five: it is the greedy peer's that goes
		}
		if s := l.Stats(); s.Busy != 1 || s.Waiting != 5 || s.ShedByPeer != 1 || s.ShedForOthers != 1 || s.ShedLate != 0 {
			t.Errorf("%+v", s)
		}
		l.SetWorkers(2) // one more: the oldest of those with the lowest tags
		synctest.Wait()
		if s := l.Stats(); s.Busy != 2 || s.Waiting != 4 {
			t.Errorf("with another worker: %+v", s)
		}
		time.Sleep(400 * time.Millisecond)
		synctest.Wait()
		if s := l.Stats(); s.Waiting != 0 || s.ShedLate != 4 {
			t.Errorf("after 400 ms: %+v", s)
		}
		c.all.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("the rest took %v", took)
		}
	})
}

// TestLoadOutlivesPanics: a handler that panics, or that ends its goroutine, gives
// its worker back.
func TestLoadOutlivesPanics(t *testing.T) {
	l := NewLoad(LoadConfig{Timer: timer, Workers: 1})
	s := NewServer(protocol.Protobuf, nil)
	s.Behind(l)
	s.Handle(protocol.FindNode, func(time.Time, protocol.Remote, *protocol.Message, *protocol.Message) error { panic("ouch") })
	s.Handle(protocol.Ping, func(time.Time, protocol.Remote, *protocol.Message, *protocol.Message) error {
		runtime.Goexit()
		return nil
	})
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() { _, _, _ = s.Serve(t0, from, body(find("k")), nil) })
		group.Wait()
		group.Go(func() { _, _, _ = s.Serve(t0, from, []byte{8, 5}, nil) })
		group.Wait()
	}
	if st := l.Stats(); st.Busy != 0 || st.Waited != 0 {
		t.Errorf("%+v", st)
	}
}

// TestLoadManyAtOnce: with requests coming and going on all processors, never are
// more handled than there are workers, and in the end nobody is left waiting.
func TestLoadManyAtOnce(t *testing.T) {
	const workers = 3
	l := NewLoad(LoadConfig{Timer: timer, Workers: workers, MaxWait: time.Hour, MaxWaiting: 1 << 20, MaxWaitingPerPeer: 1 << 20})
	var busy, most atomic.Int32
	var group sync.WaitGroup
	for g := range 16 {
		group.Go(func() {
			for range 2000 {
				if err := l.enter(time.Now(), remote(fmt.Sprint(g%5)), 1); err != nil {
					t.Error(err)
					return
				}
				n := busy.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				runtime.Gosched()
				busy.Add(-1)
				l.leave()
			}
		})
	}
	group.Wait()
	if s := l.Stats(); most.Load() > workers || s.Busy != 0 || s.Waiting != 0 || s.Waited == 0 {
		t.Errorf("%d handled at once; %+v", most.Load(), s)
	}
}

func BenchmarkLoad(b *testing.B) {
	l := NewLoad(LoadConfig{})
	b.ReportAllocs()
	for b.Loop() {
		if err := l.enter(time.Now(), from, 1); err != nil {
			b.Fatal(err)
		}
		l.leave()
	}
}

// BenchmarkLoadFull is the price of a turn with hundreds waiting.
func BenchmarkLoadFull(b *testing.B) {
	l := newLine(64)
	for i := range 512 {
		l.push(newTurn(fmt.Sprint(i), strange, 1))
	}
	b.ReportAllocs()
	for b.Loop() {
		t := l.pop()
		l.push(t)
	}
}

// TestLoadKeepsTheOrder: in the moment between a permit's return and its passing
// on, a newcomer does not take it from those who wait.
func TestLoadKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLoad(LoadConfig{Workers: 1})
		order := make(chan string, 2)
		enter := func(name string) {
			go func() {
				_ = l.enter(time.Now(), remote(name), 1)
				order <- name
			}()
			synctest.Wait()
		}
		if err := l.enter(time.Now(), remote("first"), 1); err != nil {
			t.Fatal(err)
		}
		enter("second")
		l.busy.Add(-1) // the first half of leave
		enter("third")
		if got := <-order; got != "second" || len(order) > 0 {
			t.Errorf("%s was next, and %d more", got, len(order))
		}
		l.leave()
		<-order
	})
}
