//go:build race

package routing

// liveNodes is fewer under the race detector, which makes the thousands of
// handshakes of a full mesh ten times as dear.
const liveNodes = 30
