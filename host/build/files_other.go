//go:build !unix

package build

// maxFiles returns how many files and sockets the process may have open; 0 if that
// is not known.
func maxFiles() int { return 0 }
