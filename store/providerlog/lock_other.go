//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package providerlog

import (
	"io"
	"os"
)

// lock only shows that the directory can be written: this system has no lock that
// ends with the program, so nothing keeps a second one out.
func lock(path string) (io.Closer, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
