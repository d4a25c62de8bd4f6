package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// poolBench is a pool whose streams lead nowhere.
type poolBench struct {
	*testing.T
	*streamPool
	mu     sync.Mutex
	opened []*memStream
	fail   error
	delay  time.Duration
}

func newPoolBench(t *testing.T, perPeer, total int) *poolBench {
	cfg, err := Config{Protocol: "/t/1", MaxStreamsPerPeer: perPeer, MaxStreams: total}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	b := &poolBench{T: t}
	b.streamPool = newStreamPool(cfg, b.openStream)
	return b
}

func (b *poolBench) openStream(ctx context.Context, id peer.ID) (*outbound, error) {
	if b.delay > 0 {
		select {
		case <-time.After(b.delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return nil, b.fail
	}
	s, _ := memPair(b, "self", id)
	b.opened = append(b.opened, s)
	return &outbound{stream: s, peer: id, negotiated: true}, nil
}

func (b *poolBench) must(id peer.ID, fresh, reused bool) *outbound {
	b.Helper()
	o, r, err := b.get(context.Background(), id, fresh)
	if err != nil || r != reused {
		b.Fatalf("stream to %s: reused %v, %v; want reused %v", id, r, err, reused)
	}
	return o
}

// gone reports that a stream has been closed or reset.
func gone(o *outbound) bool {
	s := o.stream.(*memStream)
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.ended != nil || s.out.broken != nil
}

func TestPoolReusesTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPoolBench(t, 8, 100)
		first, second := b.must("p", false, false), b.must("p", false, false)
		b.put(first)
		b.put(second)
		if got := b.must("p", false, true); got != second {
			t.Error("not the stream used last")
		}
		if got := b.must("p", false, true); got != first {
			t.Error("not the stream left")
		}
		if got := b.must("q", false, false); got == first {
			t.Error("another peer's stream")
		}
		b.put(first)
		if got := b.must("p", true, false); got == first {
			t.Error("an old stream where a fresh one was wanted")
		}
		b.close()
	})
}

func TestPoolEndsStreamsThatStayIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPoolBench(t, 8, 100)
		first, second := b.must("p", false, false), b.must("q", false, false)
		b.put(first)
		time.Sleep(30 * time.Second)
		b.put(second)
		time.Sleep(20*time.Second - time.Nanosecond)
		synctest.Wait()
		if gone(first) {
			t.Error("ended before its time")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !gone(first) || gone(second) {
			t.Error("after 50 s idle the first must be gone, the second not")
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !gone(second) || b.slots != 0 || len(b.peers) != 0 || b.reaper != nil {
			t.Errorf("left over: %d slots, %d peers", b.slots, len(b.peers))
		}
	})
}

func TestPoolWaitsForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPoolBench(t, 2, 100)
		first, second := b.must("p", false, false), b.must("p", false, false)
		var order []string
		var wait sync.WaitGroup
		open := func(name string, fresh bool, want *outbound) {
			wait.Go(func() {
				o, reused, err := b.get(context.Background(), "p", fresh)
				if err != nil || reused != (want != nil) || want != nil && o != want {
					t.Errorf("%s: %v, reused %v", name, err, reused)
				}
				order = append(order, name)
			})
			synctest.Wait()
		}
		open("one", false, first)
		open("two", true, nil)
		open("three", false, nil)
		if len(order) > 0 {
			t.Fatalf("%v did not wait", order)
		}
		b.put(first)
		synctest.Wait()
		b.put(second) // healthy, but two wants a fresh one
		synctest.Wait()
		if !gone(second) {
			t.Error("second was kept although its slot went to a fresh stream")
		}
		b.discard(first)
		wait.Wait()
		if fmt.Sprint(order) != "[one two three]" {
			t.Errorf("served in the order %v", order)
		}
		b.close()
	})
}

func TestPoolWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPoolBench(t, 1, 100)
		o := b.must("p", false, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := b.get(ctx, "p", false)
		if !errors.Is(err, ErrTooManyStreams) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		b.put(o)
		if b.must("p", false, true) != o {
			t.Error("the stream went to nobody")
		}
		b.close()
	})
}

func TestPoolTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPoolBench(t, 8, 3)
		p, q, r := b.must("p", false, false), b.must("q", false, false), b.must("r", false, false)
		if _, _, err := b.get(t.Context(), "s", false); !errors.Is(err, ErrTooManyStreams) {
			t.Errorf("a fourth stream of three: %v", err)
		}
		b.put(q)
		b.put(p)
		b.must("s", false, false)
		synctest.Wait()
		if !gone(q) || gone(p) || gone(r) {
			t.Error("the stream idle longest has to make room")
		}
		if b.must("p", false, true) != p || b.slots != 3 {
			t.Errorf("%d slots", b.slots)
		}
		b.close()
	})
}

func TestPoolFreshTakesTheSlotOfAnIdleOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPoolBench(t, 1, 1)
		o := b.must("p", false, false)
		b.put(o)
		b.must("p", true, false)
		synctest.Wait()
		if !gone(o) || b.slots != 1 || b.peers["p"].slots != 1 {
			t.Errorf("%d slots", b.slots)
		}
		b.close()
	})
}

func TestPoolDropsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPoolBench(t, 8, 100)
		idle, other, used := b.must("p", false, false), b.must("p", false, false), b.must("p", false, false)
		b.put(idle)
		b.put(other)
		b.drop(idle.stream.Conn())
		synctest.Wait()
		if !gone(idle) || gone(other) {
			t.Error("the connection's stream must go, another's stay")
		}
		used.stream.(*memStream).conn.close()
		b.put(used)
		if !gone(used) {
			t.Error("a stream of a closed connection was kept")
		}
		other.stream.(*memStream).conn.close() // and drop comes late
		b.must("p", false, false)
		synctest.Wait()
		if !gone(other) || b.slots != 1 {
			t.Errorf("%d slots", b.slots)
		}
		b.drop(&memConn{remote: "nobody"})
		b.close()
	})
}

func TestPoolOpenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPoolBench(t, 1, 100)
		b.fail = ErrUnreachable
		b.delay = time.Second
		var wait sync.WaitGroup
		for range 3 { // the second and third wait for the first's slot
			wait.Go(func() {
				if _, _, err := b.get(t.Context(), "p", false); !errors.Is(err, ErrUnreachable) {
					t.Errorf("got %v", err)
				}
			})
		}
		wait.Wait()
		if b.slots != 0 || len(b.peers) != 0 {
			t.Errorf("left over: %d slots, %d peers", b.slots, len(b.peers))
		}
	})
}

func TestPoolClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPoolBench(t, 2, 100)
		used, idle := b.must("p", false, false), b.must("q", false, false)
		b.put(idle)
		b.must("p", false, false)
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, _, err := b.get(t.Context(), "p", false); !errors.Is(err, ErrClosed) {
				t.Errorf("waiting while the pool closes: %v", err)
			}
		})
		wait.Go(func() {
			b.mu.Lock()
			b.delay = time.Second
			b.mu.Unlock()
			if _, _, err := b.get(t.Context(), "r", false); !errors.Is(err, ErrClosed) {
				t.Errorf("opening while the pool closes: %v", err)
			}
		})
		synctest.Wait()
		b.close()
		wait.Wait()
		if !gone(used) || !gone(idle) {
			t.Error("streams stay open")
		}
		b.put(used) // late, and harmless
		if _, _, err := b.get(t.Context(), "p", false); !errors.Is(err, ErrClosed) {
			t.Errorf("after close: %v", err)
		}
	})
}

// Many users, random ends and cancellations: the books stay right, the bounds
// hold, and nobody waits for ever.
func TestPoolUnderLoad(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		b := newPoolBench(t, 3, 10)
		b.delay = 3 * time.Millisecond
		var wait sync.WaitGroup
		inUse := make(map[peer.ID]int)
		var mu sync.Mutex
		for i := range 60 {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			wait.Go(func() {
				for range 50 {
					id := peer.ID(fmt.Sprint(rng.IntN(5)))
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rng.IntN(40))*time.Millisecond)
					o, _, err := b.get(ctx, id, rng.IntN(4) == 0)
					if err != nil {
						cancel()
						time.Sleep(time.Millisecond)
						continue
					}
					mu.Lock()
					if inUse[id]++; inUse[id] > 3 || o.peer != id {
						t.Errorf("%d streams to %s at once", inUse[id], id)
					}
					mu.Unlock()
					time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond)
					mu.Lock()
					inUse[id]--
					mu.Unlock()
					if o.failed = rng.IntN(3) == 0; o.failed {
						b.discard(o)
					} else {
						b.put(o)
					}
					cancel()
				}
			})
		}
		wait.Wait()
		b.checkBooks()
		time.Sleep(time.Minute)
		synctest.Wait()
		if b.slots != 0 || len(b.peers) != 0 || len(b.used) != 0 {
			t.Errorf("left over: %d slots, %d peers, %d in use", b.slots, len(b.peers), len(b.used))
		}
	})
}

func (b *poolBench) checkBooks() {
	b.Helper()
	b.streamPool.mu.Lock()
	defer b.streamPool.mu.Unlock()
	slots, idle := 0, 0
	for id, ps := range b.peers {
		slots += ps.slots
		idle += len(ps.idle)
		if ps.slots != len(ps.idle) || len(ps.waiting) > 0 {
			b.Errorf("peer %s at rest: %d slots, %d idle, %d waiting", id, ps.slots, len(ps.idle), len(ps.waiting))
		}
	}
	if slots != b.slots || idle != b.idle.Len() {
		b.Errorf("%d slots counted %d, %d idle counted %d", slots, b.slots, idle, b.idle.Len())
	}
}
