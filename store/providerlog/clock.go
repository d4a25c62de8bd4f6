package providerlog

import (
	"time"

	"github.com/kdht/kdht/store"
)

const (
	// markPeriod is how often the log says what time it is, in seconds.
	markPeriod = 300
	// maxBoot bounds the name of a boot in bytes; Linux gives 36.
	maxBoot = 64
)

// mark ties the store's own seconds to the two clocks there are: at tick, the wall
// clock said wall and the machine had been up for up since the boot of this name.
// Both in nanoseconds; boot is empty if that is not known.
type mark struct {
	tick     uint32
	wall, up int64
	boot     string
}

// elapsed returns how many seconds records have aged between m and now, the first
// moment told after a restart. Since the same boot, that is what the machine was
// up: no clock that is set changes it. Since another boot only the wall clock can
// tell, and it may have been set: it counts for nothing if it went back, and for
// at most limit if it went ahead, so that a wrong one does not expire what is
// still being announced (reliability.md P22).
func (m *mark) elapsed(now time.Time, boot string, up time.Duration, limit uint32) uint32 {
	since := time.Duration(now.UnixNano() - m.wall)
	if boot != "" && boot == m.boot && int64(up) >= m.up {
		since, limit = up-time.Duration(m.up), 1<<31
	}
	return uint32(min(max(since/time.Second, 0), time.Duration(limit)))
}

// SystemUptime is store.SystemUptime, for Config.Uptime.
func SystemUptime() (boot string, up time.Duration) { return store.SystemUptime() }
