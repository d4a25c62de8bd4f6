package protocol

import "errors"

// What is wrong with a message. Every error of this package wraps one of these.
var (
	// ErrMalformed means that bytes are not a message in the codec's format.
	ErrMalformed = errors.New("malformed message")
	// ErrTooLarge means that a message or a part of it exceeds its limit.
	ErrTooLarge = errors.New("message too large")
)
