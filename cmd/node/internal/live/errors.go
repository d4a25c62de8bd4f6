package live

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/input"
	kprotocol "github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/store"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

// classify returns err as what people see of it, nil for nil. Errors that are
// about a key or a peer are told by the operations themselves, which know it.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var known *control.Error
	if errors.As(err, &known) {
		return known
	}
	kind := kindOf(err)
	switch kind {
	case control.Timeout, control.Interrupted:
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return control.AsError(err)
		}
	case control.NoPeers:
		return control.Errorf(kind, "no peers: %s", why(err))
	}
	return control.Errorf(kind, "%s", brief(err))
}

// lonely is what a node says that has nobody to ask.
const lonely = "this node knows no other yet; start a second one with `kdht run --bootstrap` and this one's address"

// why says why a node has nobody to ask, of an error that is routing.ErrNoPeers, or
// nothing of none.
func why(err error) string {
	if err == nil {
		return ""
	}
	text := control.Line(err)
	_, reason, given := strings.Cut(text, routing.ErrNoPeers.Error()+": ")
	switch {
	case errors.Is(err, routing.ErrNobody), strings.HasSuffix(text, routing.ErrNoPeers.Error()):
		return lonely
	case given:
		return reason
	}
	return text
}

func kindOf(err error) control.Kind {
	for _, k := range []struct {
		err  error
		kind control.Kind
	}{
		{context.Canceled, control.Interrupted},
		{context.DeadlineExceeded, control.Timeout},
		{kprotocol.ErrTimeout, control.Timeout},
		{routing.ErrNoPeers, control.NoPeers},
		{routing.ErrNotFound, control.NotFound},
		{store.ErrNamespace, control.Usage},
		{store.ErrInvalid, control.Usage},
		{store.ErrTooLarge, control.Usage},
	} {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	return control.Failed
}

// brief returns err in one line for people.
func brief(err error) string {
	var dial *swarm.DialError
	var mismatch sec.ErrPeerIDMismatch
	switch {
	case errors.As(err, &mismatch):
		return fmt.Sprintf("another peer answers there: %s", mismatch.Actual)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there (connection refused)"
	case errors.Is(err, network.ErrNoRemoteAddrs), errors.Is(err, swarm.ErrNoAddresses):
		return "no address of it is known"
	case errors.Is(err, context.DeadlineExceeded):
		return "it does not answer"
	case errors.As(err, &dial) && len(dial.DialErrors) > 0:
		return control.Line(dial.DialErrors[0].Cause)
	}
	return control.Line(err)
}

// tooLarge says that a value exceeds what this node stores.
func tooLarge(size int) error { return input.TooLarge(int64(size), kprotocol.MaxValue) }
