package rpc

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestLoadIsHastyInOverload: where more comes in than is handled, as much is served
// as ever, and those who are not served soon are told soon, from a moment after it
// began until a moment after it has ended.
func TestLoadIsHastyInOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, capacity, seconds = 4, 400, 10
		l := NewLoad(LoadConfig{Timer: timer, Workers: workers})
		server := slowServer(l, 10*time.Millisecond)
		c := &crowd{t: t, server: server, got: map[string]*tally{}}
		flood := func(until time.Time) {
			for i := range 8 {
				c.offer(fmt.Sprint("flooder ", i), capacity/4, until) // twice the capacity in all
			}
		}
		flood(time.Now().Add(time.Second)) // until all know
		c.all.Wait()
		if s := l.Stats(); s.Hasty == 0 || s.Waiting != 0 {
			t.Fatalf("after a second of overload: %+v", s)
		}
		for range 80 { // what is left of it: a burst that takes 200 ms
			c.all.Go(func() { c.ask("burst") })
		}
		c.all.Wait()
		before := l.Stats()
		if got := c.got["burst"]; got.shed != 12 || got.served != 68 { // 4 are handled, 64 of a peer may wait
			t.Errorf("a burst after the overload: %+v, %+v", *got, before)
		}
		began := time.Now()
		flood(began.Add(seconds * time.Second))
		var mu sync.Mutex
		var late []time.Duration // how long those wait who are told no
		for range 50 {
			c.all.Go(func() {
				<-time.After(5 * time.Second)
				start := time.Now()
				if _, _, err := server.Serve(start, remote("flooder 0"), body(find("k")), nil); err != nil {
					mu.Lock()
					defer mu.Unlock()
					late = append(late, time.Since(start))
				}
			})
		}
		c.all.Wait()
		served, _ := c.sum()
		if served < capacity*(seconds+1) {
			t.Errorf("%d served, want %d", served, capacity*(seconds+1))
		}
		for _, took := range late {
			if took > 50*time.Millisecond {
				t.Fatalf("told no after %v, %d of 50 in all", took, len(late))
			}
		}
		if len(late) == 0 {
			t.Error("all of a flooder's requests were served")
		}
	})
}

// TestLoadIsPatientWithBursts: a burst that a machine takes less than MaxWait for is
// served whole, and one after the other, whatever comes meanwhile.
func TestLoadIsPatientWithBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLoad(LoadConfig{Timer: timer, Workers: 4})
		c := &crowd{t: t, server: slowServer(l, 10*time.Millisecond), got: map[string]*tally{}}
		for round := range 5 {
			for i := range 180 { // 450 ms
				c.all.Go(func() { c.ask(fmt.Sprint("peer ", i%30)) })
			}
			c.all.Wait()
			if served, shed := c.sum(); shed > 0 || served != 180*(round+1) {
				t.Fatalf("round %d: %d served, %d shed: %+v", round, served, shed, l.Stats())
			}
		}
	})
}
