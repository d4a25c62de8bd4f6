package routing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// operate wants three times as many operations as there may be, of a server with so
// many workers, each busy with one for a tenth of a second; the rest queue. It
// returns how many were under way at a time.
func operate(t *testing.T, turns *turns, workers int, long time.Duration) (most int) {
	t.Helper()
	closing, places := make(chan struct{}), make(chan struct{}, workers)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var group sync.WaitGroup
	for range 3 * maxOperations {
		group.Go(func() {
			for turns.take(ctx, closing) == nil {
				places <- struct{}{}
				<-time.After(100 * time.Millisecond)
				<-places
				running, _ := turns.counts()
				turns.give(running > 2*workers)
			}
		})
	}
	for ctx.Err() == nil {
		running, _ := turns.counts()
		most = max(most, running)
		<-time.After(50 * time.Millisecond)
	}
	group.Wait()
	return most
}

// Where nothing queues there come to be as many operations as there may be.
func TestTurnsOfFastPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		if most := operate(t, turns, 1000, time.Minute); most != maxOperations {
			t.Errorf("at most %d operations at a time, want %d", most, maxOperations)
		}
	})
}

// Where requests queue, few more are begun than those who answer can take.
func TestTurnsOfSlowPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		if most := operate(t, turns, 20, time.Minute); most < 20 || most > 48 {
			t.Errorf("at most %d operations at a time with 20 workers, a queue is seen from 40 on", most)
		}
		if most := operate(t, turns, 1, time.Minute); int(turns.limit) != leastOperations {
			t.Errorf("%d operations at a time with one worker, at most %d", int(turns.limit), most)
		}
	})
}

// Turns come in the order of asking; who stops waiting takes nobody's.
func TestTurnsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, closing := newTurns(), make(chan struct{})
		turns.limit += 0.9 // so that it stays the same number for all that is given back here
		for range firstOperations {
			if err := turns.take(t.Context(), closing); err != nil {
				t.Fatal(err)
			}
		}
		var order []int
		patient, leave := context.WithCancel(t.Context())
		for i := range 6 {
			go func() {
				ctx := t.Context()
				if i == 1 {
					ctx = patient
				}
				if err := turns.take(ctx, closing); err == nil {
					order = append(order, i)
				} else if i == 1 && !errors.Is(err, context.Canceled) || i == 5 && !errors.Is(err, ErrClosed) {
					t.Errorf("%d: %v", i, err)
				}
			}()
			synctest.Wait()
		}
		leave()
		synctest.Wait()
		for range 4 {
			turns.give(true)
			synctest.Wait()
		}
		close(closing)
		synctest.Wait()
		if want := []int{0, 2, 3, 4}; len(order) != len(want) || order[0] != 0 || order[1] != 2 || order[3] != 4 {
			t.Errorf("turns went to %v, want %v", order, want)
		}
		if running, started := turns.counts(); running != firstOperations || started != firstOperations+4 {
			t.Errorf("%d under way of %d", running, started)
		}
	})
}

// Who announces a lot to a few peers that take their time tells each of them: it
// loses patience with none because of its own queue.
func TestManyAnnouncementsToSlowPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, fakes := newWorld(t).overlay(6, Config{})
		for _, f := range fakes {
			f.change(func(f *fake) { f.lag = 100 * time.Millisecond })
		}
		errs := make(chan error, 5*maxOperations)
		for i := range cap(errs) {
			go func() {
				var report Report
				err := dhts[0].Provide(WithReport(t.Context(), &report), testCID(t, fmt.Sprint(i)), true)
				if err == nil && (report.Failed.Total() > 0 || len(report.Holders) != 5) {
					err = fmt.Errorf("report %+v", report)
				}
				errs <- err
			}()
		}
		failed := 0
		for range cap(errs) {
			if err := <-errs; err != nil {
				failed++
				if failed == 1 {
					t.Error(err)
				}
			}
		}
		if failed > 0 {
			t.Errorf("%d of %d announcements are not held by all", failed, cap(errs))
		}
	})
}
