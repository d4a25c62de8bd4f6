package kademlia

import (
	"errors"
	"slices"
	"time"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

// What an operation ends with when it did not reach its goal.
var (
	// ErrNoPeers means that the table is empty: there was nobody to ask.
	ErrNoPeers = errors.New("no peers in the routing table")
	// ErrNoAnswer means that peers were asked and none has answered, which is
	// ErrNoPeers for all practical purposes, and is it for errors.Is.
	ErrNoAnswer error = noAnswer{}
	// ErrNotFound means that the lookup ran to its end without finding it.
	ErrNotFound = errors.New("not found")
	// ErrNotStored means that no peer took the record.
	ErrNotStored = errors.New("no peer stored the record")
	// ErrCanceled means that the caller called the operation off.
	ErrCanceled = errors.New("operation canceled")
	// ErrBusy means that too many operations are under way already.
	ErrBusy = errors.New("too many operations under way")
)

// noAnswer is the type of ErrNoAnswer.
type noAnswer struct{}

func (noAnswer) Error() string        { return "none of the peers asked has answered" }
func (noAnswer) Is(target error) bool { return target == ErrNoPeers }

// Result is what an operation found, as much of it as there is even when Err is
// set.
type Result struct {
	// Closest are the nearest peers that answered, or that others' word is enough for,
	// nearest first, at most k.
	Closest []*Contact
	// Value is the best valid value (FindValue).
	Value []byte
	// Providers are the providers found, in the order they were told
	// (FindProviders); the one contact asked for (FindPeer).
	Providers []*Contact
	Report    Report
	// Stopped says that the goal was reached before the walk's end.
	Stopped bool
	// Err is nil, or wraps one of this package's errors.
	Err error
}

// Report is what an operation did.
type Report struct {
	// Asked counts the requests sent, Answered the answers that came.
	Asked, Answered int
	// Failed counts the requests that failed, by cause.
	Failed Failures
	// Holders are the peers that hold the record: that confirmed a store, or
	// returned the best value.
	Holders []peer.ID
	// Hops is the number of requests on the chain of referrals that led to the
	// result.
	Hops int
	// Dense says that the k nearest peers lie closer together than chance would have it.
	// Region is how many more of the region were then asked, or given the record.
	Dense  bool
	Region int
	// Joined says that the figures are those of another's lookup for the same, which was
	// under way; Recalled that one had just ended, so that nobody was asked.
	Joined, Recalled bool
	// Partial says that the operation goes on: more peers may come to hold the record.
	Partial bool
	// Duration is from the call to the result.
	Duration time.Duration
}

// add takes in the requests of another operation.
func (r *Report) add(o *Report) {
	r.Asked, r.Answered = r.Asked+o.Asked, r.Answered+o.Answered
	r.Failed.Add(&o.Failed)
}

// Beside returns what two operations that ran side by side did together: the requests
// and holders of both, the longer chain, and the time until the last had ended.
func (r Report) Beside(o *Report) Report {
	r.add(o)
	r.Holders = slices.Clone(r.Holders)
	for _, id := range o.Holders {
		if !slices.Contains(r.Holders, id) {
			r.Holders = append(r.Holders, id)
		}
	}
	r.Hops, r.Duration = max(r.Hops, o.Hops), max(r.Duration, o.Duration)
	r.Dense, r.Region = r.Dense || o.Dense, r.Region+o.Region
	r.Joined, r.Recalled, r.Partial = r.Joined || o.Joined, r.Recalled || o.Recalled, r.Partial || o.Partial
	return r
}

// Failures counts failed requests by what happened to them.
type Failures struct {
	// Unreachable: could not be dialled. Refused: the peer reset the stream.
	// Timeout: no answer in time. Malformed: an answer that is none.
	// Unsupported: the peer does not speak the protocol. Local: our own budget or
	// shutdown refused it.
	Unreachable, Refused, Timeout, Malformed, Unsupported, Local int
}

// Total returns how many requests failed.
func (f *Failures) Total() int {
	return f.Unreachable + f.Refused + f.Timeout + f.Malformed + f.Unsupported + f.Local
}

// Add adds what others count.
func (f *Failures) Add(o *Failures) {
	f.Unreachable += o.Unreachable
	f.Refused += o.Refused
	f.Timeout += o.Timeout
	f.Malformed += o.Malformed
	f.Unsupported += o.Unsupported
	f.Local += o.Local
}

// count adds one failure of err's kind.
func (f *Failures) count(err error) {
	switch {
	case errors.Is(err, protocol.ErrUnreachable):
		f.Unreachable++
	case errors.Is(err, protocol.ErrRefused):
		f.Refused++
	case errors.Is(err, protocol.ErrTimeout):
		f.Timeout++
	case errors.Is(err, protocol.ErrMalformed):
		f.Malformed++
	case errors.Is(err, protocol.ErrUnsupported):
		f.Unsupported++
	default:
		f.Local++
	}
}

// blames reports whether err says something about the peer, not about us.
func blames(err error) bool {
	return errors.Is(err, protocol.ErrUnreachable) || errors.Is(err, protocol.ErrRefused) ||
		errors.Is(err, protocol.ErrTimeout) || errors.Is(err, protocol.ErrMalformed) ||
		errors.Is(err, protocol.ErrUnsupported)
}
