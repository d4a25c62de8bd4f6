package routing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// diary is a Trace that writes down what it is told.
type diary struct {
	mu    sync.Mutex
	lines []string
	steps map[StepKind]int
	// storing counts the requests that give a record.
	storing int
}

type diaryKey struct{}

func (y *diary) note(format string, args ...any) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.lines = append(y.lines, fmt.Sprintf(format, args...))
}

func (y *diary) trace() *Trace {
	y.steps = make(map[StepKind]int)
	return &Trace{
		Started: func(*DHT) error { y.note("started"); return nil },
		Closed:  func(*DHT) { y.note("closed") },
		Began: func(ctx context.Context, op *Operation) context.Context {
			y.note("%s %s", op.Kind, op.Key)
			return context.WithValue(ctx, diaryKey{}, op.Kind)
		},
		Step: func(ctx context.Context, op *Operation, s LookupStep) {
			y.mu.Lock()
			defer y.mu.Unlock()
			if ctx.Value(diaryKey{}) == op.Kind {
				y.steps[s.Kind]++
				if s.Storing {
					y.storing++
				}
			}
		},
		Ended: func(ctx context.Context, op *Operation, r Report, err error) {
			y.note("%v ended, %d answered, recalled %v: %v", ctx.Value(diaryKey{}), r.Answered, r.Recalled, err)
		},
	}
}

func (y *diary) wants(t *testing.T, want ...string) {
	t.Helper()
	y.mu.Lock()
	defer y.mu.Unlock()
	if got, want := strings.Join(y.lines, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("told:\n%s\nwant:\n%s", got, want)
	}
	y.lines = nil
}

// A Trace is told each operation from its beginning to its end, and its steps; it makes
// no operation walk that would have been answered from memory.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y, cfg := &diary{}, withNumbers(t)
		cfg.Trace = []*Trace{{}, y.trace()}
		dhts, _ := newWorld(t).overlay(4, cfg)
		y.wants(t, "started", "started", "started", "started")
		d, ctx := dhts[0], t.Context()
		if err := d.PutValue(ctx, "/v/a", []byte("1")); err != nil {
			t.Fatal(err)
		}
		y.wants(t, "put_value /v/a", "put_value ended, 6 answered, recalled false: <nil>")
		if y.steps[StepBegan] != 1 || y.steps[StepAsking] < 3 || y.steps[StepAnswered] < 3 || y.storing < 2 || y.storing == y.steps[StepAsking] {
			t.Errorf("steps: %v", y.steps)
		}
		for range 2 {
			if _, err := d.GetClosestPeers(ctx, "x"); err != nil {
				t.Fatal(err)
			}
		}
		y.wants(
			t, "closest_peers x", "closest_peers ended, 3 answered, recalled false: <nil>",
			"closest_peers x", "closest_peers ended, 0 answered, recalled true: <nil>",
		)
		if _, err := d.GetValue(ctx, "/v/none"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		y.wants(t, "get_value /v/none", "get_value ended, 3 answered, recalled false: "+ErrNotFound.Error())
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		_ = d.Close()
		y.wants(t, "closed")
	})
}

// A Trace that refuses a DHT keeps it from running, and those told before are told of
// its end.
func TestTraceRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newWorld(t).add()
		y, refusal := &diary{}, errors.New("no room")
		cfg := withNumbers(t)
		cfg.Trace = []*Trace{y.trace(), {Started: func(*DHT) error { return refusal }, Closed: func(*DHT) { t.Error("closed, and was never started") }}}
		if _, err := newDHT(f, fakeStreams{f}, cfg); !errors.Is(err, refusal) {
			t.Errorf("%v, want %v", err, refusal)
		}
		y.wants(t, "started", "closed")
	})
}

// Where nobody wants to know, an operation costs nothing more.
func TestTraceCostsNothingWhenOff(t *testing.T) {
	d := &DHT{}
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { d.beginTraced(ctx, OpGetValue, nil).end(ctx, Report{}, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if o := (&observers{}); o.watching() {
		t.Error("steps are made for nobody")
	}
}
