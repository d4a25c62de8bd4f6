//go:build race

package hostile_test

// shadow is how many times the memory of a process counts: the race detector keeps
// several bytes for each.
const shadow = 6
