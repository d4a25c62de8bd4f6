package host

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
)

// server answers inbound streams: each on the goroutine libp2p gives it, its
// frames one after the other.
type server struct {
	*registry
	cfg      Config
	outcomes outcomes
}

func newServer(cfg Config) *server { return &server{registry: newRegistry(cfg), cfg: cfg} }

// serve answers the frames of one stream until it ends, then closes it if the
// peer ended it between two frames, and resets it otherwise (wire.md §5).
func (v *server) serve(s network.Stream, handle FrameHandler) {
	in := newInbound(s, time.Now())
	err := v.add(in)
	if err == nil {
		defer v.leave(in)
		v.outcomes.accepted.Add(1)
		err = v.converse(in, handle)
	}
	v.outcomes.note(err)
	if err == io.EOF {
		_ = s.Close()
		return
	}
	_ = s.ResetWithError(resetCode(err))
}

// converse reads and answers until something ends it. That is io.EOF when the
// peer has closed its side between two frames.
func (v *server) converse(in *inbound, handle FrameHandler) error {
	c, err := v.newConversation(in)
	for err == nil {
		err = c.exchange(handle)
	}
	if kicked := in.kicked(); kicked != nil {
		return kicked // the rest is its consequence
	}
	return err
}

// resetCode is what a reset stream tells the peer of err: the error's own code
// if it has one, else by kind.
func resetCode(err error) network.StreamErrorCode {
	var coded interface{ ResetCode() uint32 }
	var timeout net.Error
	switch {
	case errors.As(err, &coded):
		return network.StreamErrorCode(coded.ResetCode())
	case errors.Is(err, ErrFramePrefix), errors.Is(err, ErrFrameTooLarge), errors.Is(err, io.ErrUnexpectedEOF):
		return network.StreamProtocolViolation
	case errors.Is(err, errFull), errors.Is(err, errBuffered), errors.Is(err, network.ErrResourceLimitExceeded):
		return network.StreamResourceLimitExceeded
	case errors.Is(err, errStopped):
		return network.StreamShutdown
	case errors.Is(err, errGaveWay), errors.As(err, &timeout) && timeout.Timeout():
		return network.StreamGarbageCollected
	}
	return network.StreamNoError
}

// sender names the origin of what arrives over c.
func sender(c network.Conn) Sender {
	return Sender{Peer: c.RemotePeer(), IP: remoteIP(c.RemoteMultiaddr())}
}

// remoteIP is the address a connection comes from, the zero Addr if that is a
// relay's or none.
func remoteIP(a multiaddr.Multiaddr) (ip netip.Addr) {
	multiaddr.ForEach(a, func(c multiaddr.Component) bool {
		switch c.Protocol().Code {
		case multiaddr.P_IP4, multiaddr.P_IP6:
			if !ip.IsValid() {
				ip, _ = netip.AddrFromSlice(c.RawValue())
				ip = ip.Unmap()
			}
		case multiaddr.P_CIRCUIT:
			ip = netip.Addr{}
			return false
		}
		return true
	})
	return ip
}
