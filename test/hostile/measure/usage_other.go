//go:build !unix

package measure

import (
	"errors"
	"runtime"
	"time"
)

func limitFiles(n uint64) error {
	if n == 0 {
		return nil
	}
	return errors.New("file descriptors cannot be limited on this system: leave this trial out")
}

func cpuTime() time.Duration { return 0 }

func residentSet(m *runtime.MemStats) int64 { return int64(m.Sys - m.HeapReleased) }
