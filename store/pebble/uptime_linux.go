package pebble

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// machineUptime returns the seconds this machine has been running, suspended or not, and
// what names this run of it.
func machineUptime() (up int64, boot string) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return 0, ""
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, ""
	}
	return t.Nano() / 1e9, strings.TrimSpace(string(id))
}
