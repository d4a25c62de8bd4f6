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
			if t.due(memory()) {
				debug.FreeOSMemory()
				t.freed(memory())
			}
		case <-ctx.Done():
			return
		}
	}
}

// thrift decides when memory is given back: in a quiet time after it has grown.
type thrift struct{ least, allocated uint64 }

// due takes how much the process holds and has ever allocated, in bytes.
func (t *thrift) due(held, allocated uint64) bool {
	quiet := allocated-t.allocated < thriftBusy
	t.allocated = allocated
	if t.least == 0 || held < t.least {
		t.least = held
	}
	return quiet && held >= t.least+thriftGrown
}

// freed notes what is held although everything has been given back that can be.
func (t *thrift) freed(held, _ uint64) { t.least = held }

// memory returns how many bytes the process holds of the system's, and how many it
// has allocated since its start.
func memory() (held, allocated uint64) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64(), samples[2].Value.Uint64()
}
