package protocol

import "errors"

// What is wrong with a message. Every error of this package wraps one of these.
var (
	// ErrMalformed means that bytes are not a message in the codec's format, or
	// that an answer does not fit its request.
	ErrMalformed = errors.New("malformed message")
	// ErrTooLarge means that a message or a part of it exceeds its limit.
	ErrTooLarge = errors.New("message too large")
)

// What became of a request. Whoever sends requests wraps exactly one of these
// (or ErrMalformed) in each error, so that lookups can count causes and decide
// whether the peer is to blame.
var (
	// ErrUnreachable means that no connection to the peer could be made.
	ErrUnreachable = errors.New("peer is unreachable")
	// ErrUnsupported means that the peer does not speak the protocol.
	ErrUnsupported = errors.New("peer does not speak the protocol")
	// ErrRefused means that the peer reset the stream or limited us.
	ErrRefused = errors.New("peer refused the request")
	// ErrTimeout means that no answer came in time.
	ErrTimeout = errors.New("peer did not answer in time")
	// ErrLocal means that a budget or the shutdown of this program refused the
	// request; the peer is not to blame.
	ErrLocal = errors.New("request refused locally")
)
