package conformance

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain lets all exchanges wait at once: most of a replay is waiting for
// silence. What is done at once is bounded by slots (busy) instead.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", "1024"); err != nil {
			fmt.Fprintln(os.Stderr, "conformance:", err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// everything reports whether this run may leave nothing out.
func everything() bool { return os.Getenv("CI") == "true" || os.Getenv("KDHT_LONG") != "" }

// TestExchanges replays every entry of exchanges.json over every transport.
func TestExchanges(t *testing.T) {
	t.Parallel()
	all, exchanges := loadSetups(t), expected(t)
	if len(exchanges) != 266 {
		t.Fatalf("%d exchanges, want 266", len(exchanges))
	}
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			for _, name := range sortedKeys(all.Servers) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					replaySetup(t, all, exchanges, name, transport)
				})
			}
		})
	}
}

// expected returns the exchanges as kdht is to meet them.
func expected(t *testing.T) []exchange {
	t.Helper()
	exchanges := loadExchanges(t)
	for i := range exchanges {
		if d, ok := deviations[exchanges[i].Name]; ok {
			d.adjust(&exchanges[i])
		}
	}
	return exchanges
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// replaySetup replays the exchanges of one set-up on one instance of it, which
// comes alive when the first of them runs.
func replaySetup(t *testing.T, all setups, exchanges []exchange, name, transport string) {
	alive := sync.OnceValues(func() (*world, error) { return newWorld(t, all.Servers[name], all.Identities, transport) })
	for i := range exchanges {
		e := &exchanges[i]
		if e.Server != name {
			continue
		}
		t.Run(strings.TrimPrefix(e.Name, name+"/"), func(t *testing.T) {
			t.Parallel()
			leaveOutLong(t, e)
			w, err := alive()
			if err != nil {
				t.Fatalf("the set-up did not come alive: %v", err)
			}
			if e.WaitMs == 0 {
				busy <- struct{}{}
				defer func() { <-busy }()
			}
			if err := w.play(t.Context(), e); err != nil {
				t.Errorf("%s: %s\n%v", e.Section, e.About, err)
			}
		})
	}
}

// leaveOutLong skips exchanges that take longer than this run may. Where
// nothing may be left out it does nothing.
func leaveOutLong(t *testing.T, e *exchange) {
	if everything() {
		return
	}
	if e.WaitMs > 0 && testing.Short() {
		t.Skip("waits for a minute; left out by -short")
	}
	if e.takes() > 90*time.Second {
		t.Skipf("takes %v; runs with KDHT_LONG=1 or CI=true", e.takes())
	}
}

// takes is how long the exchange lasts by its own description.
func (e *exchange) takes() time.Duration {
	var ms int
	for _, p := range e.PauseMs {
		ms += p
	}
	for _, it := range e.Expect {
		if it.timed != nil {
			ms += it.timed.AfterMaxMs
		}
	}
	return time.Duration(ms) * time.Millisecond
}
