//go:build unix

package store

import "golang.org/x/sys/unix"

// mapMemory returns n bytes of the operating system's memory.
func mapMemory(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

// dropMemory says that what is in b is not needed any more.
func dropMemory(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) } // which it may not care for

// unmapMemory gives back what mapMemory returned.
func unmapMemory(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic("BUG: store: giving memory back: " + err.Error())
	}
}
