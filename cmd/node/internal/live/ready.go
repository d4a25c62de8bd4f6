package live

import "fmt"

// Ready reports whether the node has joined its network, and says why it is so. The
// first node of a network, which has nobody to join through, has.
func (n *Node) Ready() (bool, string) {
	switch peers := n.Peers(); {
	case peers == 1:
		return true, "joined, knows 1 peer"
	case peers > 0:
		return true, fmt.Sprintf("joined, knows %d peers", peers)
	case !n.Joining():
		return true, "alone: the first node of its network, with nobody to join through"
	}
	return false, why(n.dht.Stats().Lonely)
}
