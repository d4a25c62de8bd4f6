package protocol

// Limits of the wire format. What deployed peers do is in wire.md; where kdht
// sets a bound of its own, wire.md §22 says so.
const (
	// MaxFrame is the longest accepted message in bytes, inclusive, without its
	// length prefix (wire.md §2).
	MaxFrame = 4 << 20
	// MaxPeerSize bounds the id, addresses and connection of one encoded Peer in
	// bytes; surplus addresses at the tail are dropped (wire.md §3).
	MaxPeerSize = 8 << 10
	// MaxProviderKey is the longest key of provider records in bytes (wire.md §6).
	MaxProviderKey = 80
	// MaxValueKey is the longest key of a value record kdht stores, in bytes.
	MaxValueKey = 1 << 10
	// MaxValue is the longest value kdht stores unless told otherwise, in bytes.
	MaxValue = 64 << 10
	// MaxAnswerPeers is how many closer peers of one answer are believed: k = 20
	// and the target itself (reliability.md P12).
	MaxAnswerPeers = 21
	// MaxAddrs is how many addresses of one peer are taken or told (wire.md §22).
	MaxAddrs = 16
	// MaxAnswerProviders is how many providers one answer names (wire.md §22).
	MaxAnswerProviders = 32
	// AnswerTarget is the size in bytes that answers are trimmed towards, the
	// largest that rust-libp2p reads by default (wire.md §22).
	AnswerTarget = 16 << 10
	// MaxAnswer is the size in bytes that no built answer exceeds, a stored
	// record not counted (wire.md §22).
	MaxAnswer = 64 << 10
	// MaxPeers is how many peers of one decoded message are kept at most. A
	// deployed peer may name as many providers as a frame holds (wire.md §6).
	MaxPeers = 8 << 10
)

// A frame that names more peers or addresses than one for every so many bytes
// is padded, and the surplus is not kept: the room a message takes is at most
// twice its frame each time, and 16 KiB (reliability.md P6). An honest peer
// with an id and one address takes 52 bytes, an address 12 with its share of
// the peer; freePeers and freeAddrs are kept in any case.
const (
	minPeerSize = 52
	minAddrSize = 12
	freePeers   = 64
	freeAddrs   = 512
)

// peerRoom and addrRoom are how many peers and how many addresses in all are
// kept of a message of size bytes.
func peerRoom(size int) int { return min(MaxPeers, freePeers+size/minPeerSize) }
func addrRoom(size int) int { return freeAddrs + size/minAddrSize }

// within returns the smaller of room and bound, if there is a bound.
func within(bound, room int) int {
	if bound > 0 {
		return min(bound, room)
	}
	return room
}

// What a Message makes room for at first, and what it keeps for the next one.
const (
	firstPeers = MaxAnswerPeers
	firstAddrs = 4 * MaxAnswerPeers
	keptPeers  = 128
	keptAddrs  = 2048
	keptText   = 64 << 10
)

// grow makes room for another element of s: for first at first, then for twice
// as many, at most for room. The caller has checked that s holds less.
func grow[T any](s []T, first, room int) []T {
	if len(s) < cap(s) {
		return s
	}
	return append(make([]T, 0, min(max(first, 2*cap(s)), room)), s...)
}
