package protocol

// tagSender is py-libp2p's field of a message for the signed peer record of who
// sends it (a draft of others has number 11 for a varint, which is left alone).
const tagSender = 11<<3 | wireBytes

// withoutSender returns unknown fields less the sender's own record: py-libp2p
// takes an answer that comes with another's record for a forgery, and a value for
// not stored. The fields themselves are returned if there is none in them.
func withoutSender(unknown []byte) []byte {
	kept, from := []byte(nil), 0
	for i := 0; i < len(unknown); {
		tag, n := consumeTag(unknown[i:])
		if n < 0 {
			return unknown // made by hand: decoded fields are well-formed
		}
		k := consumeValue(tag, unknown[i+n:])
		if k < 0 {
			return unknown
		}
		if tag == tagSender {
			kept, from = append(kept, unknown[from:i]...), i+n+k
		}
		i += n + k
	}
	if from == 0 {
		return unknown
	}
	return append(kept, unknown[from:]...)
}
