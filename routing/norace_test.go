//go:build !race

package routing

// liveNodes is the size of the overlay of real hosts.
const liveNodes = 60
