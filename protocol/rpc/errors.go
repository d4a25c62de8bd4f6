package rpc

import (
	"errors"
	"fmt"
	"os"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/kdht/kdht/protocol"
)

// ErrLimited means that a peer, its subnet or the whole process is deeper in
// debt than the limiter allows: the request was not looked at. It carries the
// reset code network.StreamRateLimited.
var ErrLimited error = &codedError{text: "rate limited: slow down", code: network.StreamRateLimited}

// ErrUnhandled means that no handler is registered for the type of a request:
// either the type has no meaning or its subsystem is switched off (wire.md §6).
// It carries the reset code network.StreamProtocolViolation.
var ErrUnhandled error = &codedError{text: "no handler for this type of request", code: network.StreamProtocolViolation}

// codedError is an error that tells the transport which code to reset a stream
// with. It is immutable.
type codedError struct {
	text  string
	code  network.StreamErrorCode
	cause error
}

// Error returns the text, and the cause if there is one.
func (e *codedError) Error() string {
	if e.cause == nil {
		return e.text
	}
	return e.text + ": " + e.cause.Error()
}

// Unwrap returns the cause, nil if there is none.
func (e *codedError) Unwrap() error { return e.cause }

// ResetCode returns the code a stream is to be reset with.
func (e *codedError) ResetCode() uint32 { return uint32(e.code) }

// violation says that the remote peer broke the protocol.
func violation(text string, cause error) error {
	return &codedError{text: text, code: network.StreamProtocolViolation, cause: cause}
}

// PanicError is what Serve returns when a handler, the hook or the codec
// panicked. It is our own fault, never the peer's.
type PanicError struct {
	Type  protocol.Type // of the request
	Value any           // what was panicked with
	Stack []byte        // of the goroutine that panicked
}

// Error returns one line without the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("%v: handler panicked (please report this): %v", e.Type, e.Value)
}

// outcomes are the sentinels of which every error of the client wraps exactly
// one, except for a cancelled context.
var outcomes = [...]error{
	protocol.ErrUnreachable, protocol.ErrRefused, protocol.ErrTimeout,
	protocol.ErrUnsupported, protocol.ErrMalformed, protocol.ErrLocal,
}

// outcomeOf returns the sentinel that err wraps, nil if it wraps none.
func outcomeOf(err error) error {
	for _, o := range outcomes {
		if errors.Is(err, o) {
			return o
		}
	}
	return nil
}

// ended says what it means that a stream failed with err before the whole
// answer was read. The context's own end is not its business.
func ended(err error) error {
	var (
		stream *network.StreamError
		conn   *network.ConnError
		coded  interface{ ResetCode() uint32 }
	)
	switch {
	case isTimeout(err):
		return protocol.ErrTimeout
	case outcomeOf(err) != nil:
		return outcomeOf(err)
	case errors.Is(err, protocol.ErrTooLarge):
		return protocol.ErrMalformed
	case errors.Is(err, network.ErrResourceLimitExceeded):
		return protocol.ErrLocal
	case errors.As(err, &coded) && coded.ResetCode() == uint32(network.StreamProtocolViolation):
		return protocol.ErrMalformed // our own frame reader gave up on the peer
	case errors.As(err, &stream):
		if stream.Remote {
			return protocol.ErrRefused
		}
		return protocol.ErrLocal // we reset it, for example to shut down
	case errors.As(err, &conn):
		return protocol.ErrUnreachable
	}
	return protocol.ErrRefused // EOF, reset, a frame cut short
}

// isTimeout reports whether err says that a deadline passed.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
