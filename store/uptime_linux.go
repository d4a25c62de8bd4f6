package store

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// SystemUptime names the boot this machine has been up since, and tells for how long,
// sleep included. The name is empty where the system does not say. Stores on disk ask it,
// to know how much time has passed between two runs of the program whatever the clock was
// set to (reliability.md P22); nothing else of this package does.
func SystemUptime() (boot string, up time.Duration) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return "", 0
	}
	return strings.TrimSpace(string(id)), time.Duration(t.Nano())
}
