package protocol

import (
	"net/netip"
	"strconv"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Type says what a message asks or answers (wire.md §3). Values outside the
// six named ones are kept as they came; whoever dispatches refuses them.
type Type int32

// The six requests of the protocol. An answer carries its request's type.
const (
	PutValue     Type = 0
	GetValue     Type = 1
	AddProvider  Type = 2
	GetProviders Type = 3
	FindNode     Type = 4
	Ping         Type = 5
)

// NumTypes is how many types have a meaning: valid ones are 0..NumTypes-1.
const NumTypes = 6

var typeNames = [NumTypes]string{"PUT_VALUE", "GET_VALUE", "ADD_PROVIDER", "GET_PROVIDERS", "FIND_NODE", "PING"}

// Valid reports whether t is one of the six named types.
func (t Type) Valid() bool { return t >= 0 && t < NumTypes }

// String returns the name used by the specification, or the number.
func (t Type) String() string {
	if t.Valid() {
		return typeNames[t]
	}
	return strconv.Itoa(int(t))
}

// Connection is what the sender of a Peer knows of reaching it. Deployed peers
// send NotConnected and Connected only; other values are kept as they came.
type Connection int32

// The named values of Connection (wire.md §3).
const (
	NotConnected  Connection = 0
	Connected     Connection = 1
	CanConnect    Connection = 2
	CannotConnect Connection = 3
)

var connectionNames = [4]string{"NOT_CONNECTED", "CONNECTED", "CAN_CONNECT", "CANNOT_CONNECT"}

// String returns the name used by the specification, or the number.
func (c Connection) String() string {
	if c >= 0 && int(c) < len(connectionNames) {
		return connectionNames[c]
	}
	return strconv.Itoa(int(c))
}

// Message is every request and every answer of the protocol.
//
// A decoded Message borrows: its byte slices point into the frame it was decoded
// from, or into room of its own, and live until that frame is changed or the
// Message is decoded into or Reset again. What is kept longer is copied
// (Record.Clone, Peer.Clone). Decoding into a Message used before takes over the
// room of its slices, so that a server decodes without allocating. The copy
// that an assignment makes shares that room: only one of the two may be used
// for decoding again (Echo makes a copy that does not).
type Message struct {
	Type Type
	// Key is the record key, the peer id or the multihash the message is about.
	// It is hashed once with SHA-256 to find its place in the keyspace.
	Key []byte
	// Record is the value carried, if HasRecord.
	Record    Record
	HasRecord bool
	// CloserPeers are peers nearer to the key, nearest first. Both lists belong
	// to the Message, which Trim shortens and Reset clears in place: append to
	// them, do not assign a list that others read.
	CloserPeers []Peer
	// ProviderPeers are providers of the key, or the announced provider.
	ProviderPeers []Peer
	// ClusterLevel has no meaning left, but deployed peers send 1 (wire.md §3).
	ClusterLevel int32
	// Unknown holds the fields this program does not know, tags included, in
	// order of arrival; encoding appends them.
	Unknown []byte
	// Bounds say how much is kept of what is decoded into this Message; Reset leaves
	// them as they are.
	Bounds Bounds

	addrs [][]byte // room for the Addrs of all decoded peers
	text  []byte   // room for what JSON does not hold as bytes
}

// Bounds are how many of a message's closer peers and providers are kept when it is
// decoded, and how many addresses of each: the first ones. Peers beyond them are not
// looked into. 0 means as many as a frame of that length can honestly hold.
type Bounds struct {
	Closer, Providers, Addrs int
}

// Record is a stored value as it travels (wire.md §3).
type Record struct {
	Key   []byte
	Value []byte
	// TimeReceived is the receiver's RFC 3339 stamp in UTC, empty if none.
	TimeReceived []byte
	// Unknown holds fields this program does not know (rust's publisher and
	// ttl among them); it is stored and returned with the record.
	Unknown []byte
}

// Peer is a peer as it travels: who, where, and whether the sender holds a
// connection to it.
type Peer struct {
	// ID is the raw multihash; it may be anything until PeerID has parsed it.
	ID []byte
	// Addrs are binary multiaddrs, unparsed, best first.
	Addrs      [][]byte
	Connection Connection
	Unknown    []byte

	// encoded, if not nil, is the protobuf form of ID and Addrs, made once by
	// Precode and copied into every answer instead of encoded again.
	encoded []byte
}

// PeerID parses p.ID. The text of the returned id is a copy and may be kept.
func (p *Peer) PeerID() (peer.ID, error) { return peer.IDFromBytes(p.ID) }

// Remote is the authenticated sender of a request: the peer its connection
// belongs to and the address it comes from. IP is the zero Addr when the
// connection has none (a relayed or in-memory one).
type Remote struct {
	Peer peer.ID
	IP   netip.Addr
}
