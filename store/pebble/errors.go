package pebble

import "errors"

var (
	// ErrDisk means that the disk does not take writes at present. What is stored can
	// still be read.
	ErrDisk = errors.New("store: the disk refuses writes")
	// ErrInUse means that another program has the directory open.
	ErrInUse = errors.New("store: in use by another program")
	// ErrFormat means that the directory was written by a program newer than this one,
	// or by another one altogether.
	ErrFormat = errors.New("store: unknown format")
)
