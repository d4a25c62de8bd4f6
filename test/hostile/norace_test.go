//go:build !race

package hostile_test

// shadow is how many times the memory of a process counts.
const shadow = 1
