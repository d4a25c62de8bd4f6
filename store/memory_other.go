//go:build !unix

package store

import "errors"

// mapMemory says that the memory of this operating system is not known: all is Go's.
func mapMemory(int) ([]byte, error) { return nil, errors.ErrUnsupported }

func dropMemory([]byte) {}

func unmapMemory([]byte) {}
