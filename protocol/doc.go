// Package protocol is the wire format of the libp2p Kademlia protocol, bit for
// bit as deployed peers speak it under /ipfs/kad/1.0.0 and <prefix>/kad/1.0.0:
// one Message for every request and answer, and the Codec that turns it into
// bytes and back.
//
// # The format
//
// On the stream a message is its length, an unsigned varint in the fewest
// bytes, and then a protobuf body of at most MaxFrame bytes. The length belongs
// to the transport; all that follows is the body (kad.proto is the schema):
//
//	Message  1 type   2 key    3 record   8 closerPeers*   9 providerPeers*   10 clusterLevel
//	Record   1 key    2 value  5 timeReceived
//	Peer     1 id     2 addrs*            3 connection
//
// A field is a tag, its number times eight plus its wire type, and a value: a
// varint (wire type 0) for type, connection and clusterLevel, a varint length
// and that many bytes (wire type 2) for the rest; * may be repeated. Fields that
// are zero or empty are left out, so that a PUT_VALUE has no type at all.
//
// # One message
//
// Somebody asks who is near "hello": FIND_NODE with the key, and the cluster
// level that has no meaning left but is 1 in every request.
//
//	08 04                    type = FIND_NODE
//	12 05 68 65 6c 6c 6f     key = "hello"
//	50 01                    clusterLevel = 1
//
// The answer repeats type and level and names peers, nearest first; this one
// names one, with an address, to which the sender is connected.
//
//	08 04                    type = FIND_NODE
//	42 34                    a closer peer of 52 bytes:
//	   0a 26 00 24 08 01 …      id, the multihash of its public key
//	   12 08 04 7f 00 00 01     an address: ip4, 127.0.0.1,
//	         06 a0 2a           tcp, 41002
//	   18 01                    connection = CONNECTED
//	50 01                    clusterLevel = 1
//
// The same answer for people, as the JSON codec writes it:
//
//	{"type":"FIND_NODE","closerPeers":[{"id":"12D3KooW…",
//	 "addrs":["/ip4/127.0.0.1/tcp/41002"],"connection":"CONNECTED"}],"clusterLevel":1}
//
// # How to use it
//
// Decode into a Message that is used again and again: it borrows from the bytes
// it was decoded from and takes over its own room, so that an ordinary message
// is decoded without allocating. Clone what is kept longer. A peer that is told
// often is precoded once (Peer.Precode), and Append copies it. Trim an answer
// before it is encoded, so that every stack can read it.
//
// # What holds
//
// A message survives: what this program does not know (fields, enum values,
// wire types) is kept, sent back and stored, by either codec. Encoding a decoded
// message gives its canonical form: fields ascending, defaults left out, unknown
// fields last; encoding that again gives the same bytes.
//
// Any bytes may come. They are a message or an error that wraps ErrMalformed,
// never a panic. Time and memory grow with their length and no faster: of peers
// and addresses beyond what an honest message holds the surplus is checked but
// not kept (MaxPeers, MaxPeerSize), and nothing that takes longer than linear
// time is longer than a line. Nothing here blocks, locks, logs, or reads a clock.
//
// Shape is all that is checked here. Whether an id is a peer's, an address a
// multiaddr, a key allowed or a record valid is for those who use them.
package protocol
