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
	// MaxPeers is how many closer peers, and how many providers, of one message
	// are kept at most; a deployed peer may name as many providers as a frame
	// holds (wire.md §6).
	MaxPeers = 8 << 10
)

// The least that an honest peer with an id and an honest address take in a
// message: a frame that names more is padded, and the surplus is not kept. So
// the room of a decoded message is a small multiple of its frame.
const (
	minPeerSize = 32 // an id of 32 bytes or more, and tags
	minAddrSize = 8  // ip4 and tcp
	freePeers   = 64
	freeAddrs   = 1024
)

// peerRoom and addrRoom are how many peers of each kind, and how many
// addresses in all, a message of size bytes may hold.
func peerRoom(size int) int { return min(MaxPeers, freePeers+size/minPeerSize) }
func addrRoom(size int) int { return freeAddrs + size/minAddrSize }

// What a Message makes room for at first, and what it keeps for the next one.
const (
	firstPeers = MaxAnswerPeers
	firstAddrs = 4 * MaxAnswerPeers
	keptPeers  = 128
	keptAddrs  = 2048
	keptText   = 64 << 10
)
