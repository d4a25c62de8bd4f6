package build

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// thriftTick is how often Thrifty looks; a node that was attacked has given its
	// memory back within two ticks (reliability.md P5: 5 s).
	thriftTick = 2 * time.Second
	// thriftGrown is how much more memory than after the last time is worth a
	// collection, thriftBusy how much is allocated in a tick of a busy time, in bytes.
	thriftGrown = 8 << 20
	thriftBusy  = 8 << 20
	// thriftLeft is how many goroutines fewer tell that many have left: a connection
	// has five, a stream at least one. What they held may be all there is to collect,
	// where nothing is allocated that would bring a collection about.
	thriftLeft = 64
	// thriftPercent is how much garbage there may be, in percent of what lives: half
	// of Go's default. A node's heap is a few MB, so that this costs little time, and
	// halves what the buffers of a flood add to it.
	thriftPercent = 50
)

// Thrifty keeps the process small until ctx ends: garbage is collected earlier,
// and when a busy time is over, memory that was needed in it goes back to the
// system at once, not when Go would come to it. It is for programs whose business
// is a node; the settings are the whole process's. What GOGC says stays.
func Thrifty(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(thriftPercent))
	}
	tick := time.NewTicker(thriftTick)
	defer tick.Stop()
	var t thrift
	for {
		select {
		case <-tick.C:
			if t.due(usage()) {
				debug.FreeOSMemory()
				t.freed(usage())
			}
		case <-ctx.Done():
			return
		}
	}
}

// used is what a process has: bytes of the system's memory, bytes it has allocated
// since its start, and goroutines.
type used struct{ held, allocated, goroutines uint64 }

// thrift decides when memory is given back: in a quiet time after it has grown, or
// after many have left.
type thrift struct{ least, allocated, most uint64 }

func (t *thrift) due(u used) bool {
	quiet := u.allocated-t.allocated < thriftBusy
	t.allocated = u.allocated
	if t.least == 0 || u.held < t.least {
		t.least = u.held
	}
	t.most = max(t.most, u.goroutines)
	return quiet && (u.held >= t.least+thriftGrown || t.most >= u.goroutines+max(thriftLeft, t.most/4))
}

// freed notes what is held although everything has been given back that can be.
func (t *thrift) freed(u used) { t.least, t.most = u.held, u.goroutines }

// usage returns what this process has.
func usage() used {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/sched/goroutines:goroutines"},
	}
	metrics.Read(samples)
	return used{samples[0].Value.Uint64() - samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()}
}
