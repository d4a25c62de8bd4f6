package rpc

import (
	"bytes"

	"github.com/kdht/kdht/protocol"
)

// verdict is what an answer means for the request it came after.
type verdict int

const (
	answers  verdict = iota // it answers the request
	stray                   // it answers something else: another type or key
	negative                // it answers the request, and wrongly
)

// match judges answer against req (wire.md §6 and its corrections): the type is
// the request's; a key that is present is the request's; a record is for the key
// asked; a PUT_VALUE is acknowledged by the value coming back. Answers to
// FIND_NODE carry no key in go, so their key cannot be asked for. The reason is
// for people.
func match(req, answer *protocol.Message) (v verdict, reason string) {
	if answer.Type != req.Type {
		return stray, "answer type " + answer.Type.String()
	}
	if len(answer.Key) > 0 && !bytes.Equal(answer.Key, req.Key) {
		return stray, "answer for another key"
	}
	switch req.Type {
	case protocol.GetValue:
		if answer.HasRecord && !bytes.Equal(answer.Record.Key, req.Key) {
			return negative, "record key is not the key asked"
		}
	case protocol.PutValue:
		return matchPut(req, answer)
	}
	return answers, ""
}

// matchPut judges the echo of a PUT_VALUE. All that counts is that the value
// comes back; an echo without it is a refusal put politely.
func matchPut(req, answer *protocol.Message) (verdict, string) {
	switch {
	case !answer.HasRecord:
		return negative, "the value did not come back"
	case !bytes.Equal(answer.Record.Value, req.Record.Value):
		return negative, "another value came back"
	case len(answer.Record.Key) > 0 && !bytes.Equal(answer.Record.Key, req.Record.Key):
		return negative, "the value came back under another key"
	}
	return answers, ""
}
