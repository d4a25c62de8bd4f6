package routing

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing/kademlia"
)

// stepLog collects steps by lookup.
type stepLog struct {
	mu    sync.Mutex
	order []kademlia.QueryID
	by    map[kademlia.QueryID][]LookupStep
}

func (l *stepLog) add(s LookupStep) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by[s.Lookup] == nil {
		l.order = append(l.order, s.Lookup)
	}
	l.by[s.Lookup] = append(l.by[s.Lookup], s)
}

// of returns the steps of the last lookup for key.
func (l *stepLog) of(key string) []LookupStep {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range slices.Backward(l.order) {
		if steps := l.by[id]; string(steps[0].Key) == key {
			return steps
		}
	}
	return nil
}

// Who watches is told each lookup from its beginning to its end, until it stops.
func TestWatchLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dhts, fakes := w.overlay(5, withNumbers(t))
		fakes[2].crash()
		fakes[3].lag = 600 * time.Millisecond // longer than a slot, and not than the walk waits
		log := &stepLog{by: make(map[kademlia.QueryID][]LookupStep)}
		stop, err := dhts[0].WatchLookups(log.add)
		if err != nil {
			t.Fatal(err)
		}
		if err := dhts[0].PutValue(t.Context(), "/v/s", []byte("1")); err != nil {
			t.Fatal(err)
		}
		steps := log.of("/v/s")
		count, stored := make(map[StepKind]int), 0
		for i, s := range steps {
			count[s.Kind]++
			if s.Storing {
				stored++
				if s.Kind != StepAsking || s.Type != protocol.PutValue {
					t.Errorf("step %d stores: %+v", i, s)
				}
			}
			if s.At.IsZero() || i > 0 && s.At.Before(steps[i-1].At) {
				t.Errorf("step %d, %s, is at %v", i, s.Kind, s.At)
			}
			switch s.Kind {
			case StepAsking, StepAnswered, StepSlow, StepFailed:
				if s.Peer == nil || s.Kind == StepFailed && s.Err == nil {
					t.Errorf("step %d: %+v", i, s)
				}
			}
		}
		first, last := steps[0], steps[len(steps)-1]
		if first.Kind != StepBegan || first.Type != protocol.FindNode || first.Upkeep || last.Kind != StepEnded || last.Result.Err != nil || len(last.Result.Report.Holders) != 3 {
			t.Errorf("from %+v to %+v", first, last)
		}
		if count[StepBegan] != 1 || count[StepEnded] != 1 || stored < 3 || stored == count[StepAsking] || count[StepFailed] == 0 || count[StepSlow] == 0 || count[StepAsking] < 7 {
			t.Errorf("steps %v", count)
		}
		if err := dhts[0].Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if own := log.of(string(dhts[0].ID())); own == nil || !own[0].Upkeep {
			t.Errorf("the table's own lookup: %+v", own)
		}
		stop()
		before := len(log.order)
		if _, err := dhts[0].GetClosestPeers(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		if len(log.order) != before {
			t.Error("told after its end")
		}
		_ = dhts[0].Close()
		if _, err := dhts[0].WatchLookups(log.add); !errors.Is(err, ErrClosed) {
			t.Errorf("of a closed DHT: %v", err)
		}
		stop() // again, and nobody is there: it returns
	})
}

// The watcher of today is not stopped by that of yesterday.
func TestWatchersFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dhts, _ := newWorld(t).overlay(3, withNumbers(t))
		none := func(LookupStep) { t.Error("who was followed is told") }
		stop, _ := dhts[0].WatchLookups(none)
		log := &stepLog{by: make(map[kademlia.QueryID][]LookupStep)}
		if _, err := dhts[0].WatchLookups(log.add); err != nil {
			t.Fatal(err)
		}
		stop()
		if _, err := dhts[0].GetClosestPeers(t.Context(), "key"); err != nil {
			t.Fatal(err)
		}
		if log.of("key") == nil {
			t.Error("nothing is told")
		}
	})
}
