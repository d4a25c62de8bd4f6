package protocol

// Codec turns messages into bytes and back. One codec serves one protocol id:
// the peers have agreed on the format before the first byte of a message.
//
// Implementations are stateless and safe for concurrent use. A frame's length
// prefix is not theirs; it belongs to the transport.
type Codec interface {
	// Name names the format in logs, flags and protocol ids ("protobuf", "json").
	Name() string
	// Append appends the encoded form of m to b and returns the extended slice.
	// It does not keep m or b.
	Append(b []byte, m *Message) ([]byte, error)
	// Decode reads the message that is exactly b into m, overwriting all of m and
	// reusing its room. m borrows from b. On error m is unspecified, and the
	// error wraps ErrMalformed.
	Decode(b []byte, m *Message) error
	// Type finds the type of the message that is exactly b without decoding or
	// checking the rest, so that admission costs next to nothing. A message that
	// names no type is a PutValue (proto3's default).
	Type(b []byte) (Type, error)
}
