//go:build !linux

package store

import "time"

// SystemUptime says that it is not known how long this machine has been running: what
// passed between two runs of the program is then told by the clock alone.
func SystemUptime() (boot string, up time.Duration) { return "", 0 }
