//go:build !linux

package pebble

// machineUptime says that it is not known how long this machine has been running: what
// passed between two runs of the program is then told by the clock alone.
func machineUptime() (up int64, boot string) { return 0, "" }
