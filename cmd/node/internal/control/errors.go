package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Kind says in what way an operation failed.
type Kind string

// The kinds; the program's exit codes follow them.
const (
	Failed      Kind = "failed"
	Usage       Kind = "usage"
	NotFound    Kind = "not_found"
	NoPeers     Kind = "no_peers"
	Timeout     Kind = "timeout"
	Interrupted Kind = "interrupted"
)

// Error is how every operation fails: a kind and one line for people, which ends
// with what to do next where there is something to do. Report, if not nil, is
// what was done until then.
type Error struct {
	Kind    Kind    `json:"kind"`
	Message string  `json:"message"`
	Report  *Report `json:"report,omitempty"`
}

// Error returns the line.
func (e *Error) Error() string { return e.Message }

// Errorf makes an Error of a kind.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: Clean(fmt.Sprintf(format, args...))}
}

// Clean replaces what does not belong into a line on a terminal: line ends, and
// what a stranger's address or error may hold to move the cursor about.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// AsError returns err as an *Error: itself if it is one, by its context cause, or
// else Failed. It returns nil for nil.
func AsError(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(Timeout, "no result in time; give more with --timeout")
	case errors.Is(err, context.Canceled):
		return Errorf(Interrupted, "interrupted")
	}
	return Errorf(Failed, "%s", Line(err))
}

// packages are how our packages begin their errors, for programmers.
var packages = []string{"kdht: ", "build: ", "store: ", "host: ", "rpc: ", "protocol: ", "routing: ", "providerlog: ", "snapshot: "}

// Line returns what err says in one line, without the names of packages.
func Line(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	for _, p := range packages {
		text = strings.ReplaceAll(strings.TrimPrefix(text, p), ": "+p, ": ")
	}
	return text
}
