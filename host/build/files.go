//go:build unix

package build

import "syscall"

// maxFiles returns how many files and sockets the process may have open; 0 if that
// is not known.
func maxFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), 1<<20))
}
