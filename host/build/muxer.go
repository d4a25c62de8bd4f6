package build

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p/core/network"
	muxer "github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-yamux/v5"
)

// maxWindow is what one stream may be sent ahead of being read when it is read
// fast: 10 MB/s where a round trip takes 100 ms. libp2p's own 16 MiB for each
// stream is more than a node should hold for a peer.
const maxWindow = 1 << 20

// multiplexer makes yamux sessions as libp2p does, but bounds what they hold that
// nobody has read, by meters of one inflow.
type multiplexer struct {
	config yamux.Config
	all    *inflow
}

func newMultiplexer() *multiplexer {
	m := &multiplexer{config: *muxer.DefaultTransport.Config(), all: new(inflow)}
	m.config.MaxStreamWindowSize = maxWindow
	return m
}

// NewConn implements network.Multiplexer.
func (m *multiplexer) NewConn(c net.Conn, server bool, scope network.PeerScope) (network.MuxedConn, error) {
	var span func() (yamux.MemoryManager, error)
	if scope != nil {
		span = func() (yamux.MemoryManager, error) { return scope.BeginSpan() }
	}
	begin := yamux.Client
	if server {
		begin = yamux.Server
	}
	metered := newMeter(c, m.all)
	s, err := begin(metered, &m.config, span)
	if err != nil {
		return nil, err
	}
	return &session{muxer.NewMuxedConn(s), s, metered}, nil
}

// session is a connection whose streams tell its meter what has been read.
type session struct {
	network.MuxedConn
	yamux *yamux.Session
	meter *meter
}

// OpenStream implements network.MuxedConn.
func (s *session) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	opened, err := s.yamux.OpenStream(ctx)
	if err != nil {
		return nil, asNetwork(err)
	}
	s.meter.ours(opened.StreamID())
	return &stream{opened, s.meter}, nil
}

// AcceptStream implements network.MuxedConn.
func (s *session) AcceptStream() (network.MuxedStream, error) {
	accepted, err := s.yamux.AcceptStream()
	if err != nil {
		return nil, asNetwork(err)
	}
	s.meter.accepted(accepted.StreamID())
	return &stream{accepted, s.meter}, nil
}

// stream is a stream of a session.
type stream struct {
	*yamux.Stream
	meter *meter
}

// Read implements network.MuxedStream.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	s.meter.read(s.StreamID(), n)
	return n, asNetwork(err)
}

// Write implements network.MuxedStream.
func (s *stream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	return n, asNetwork(err)
}

// Close implements network.MuxedStream.
func (s *stream) Close() error {
	defer s.meter.end(s.StreamID())
	return s.Stream.Close()
}

// CloseRead implements network.MuxedStream.
func (s *stream) CloseRead() error {
	defer s.meter.end(s.StreamID())
	return s.Stream.CloseRead()
}

// Reset implements network.MuxedStream.
func (s *stream) Reset() error { return s.ResetWithError(0) }

// ResetWithError implements network.MuxedStream.
func (s *stream) ResetWithError(code network.StreamErrorCode) error {
	defer s.meter.end(s.StreamID())
	return s.Stream.ResetWithError(uint32(code))
}

// asNetwork gives yamux's errors the form that libp2p's users know.
func asNetwork(err error) error {
	var ofStream *yamux.StreamError
	var ofConn *yamux.GoAwayError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ofStream):
		return &network.StreamError{Remote: ofStream.Remote, ErrorCode: network.StreamErrorCode(ofStream.ErrorCode), TransportError: err}
	case errors.As(err, &ofConn):
		return &network.ConnError{Remote: ofConn.Remote, ErrorCode: network.ConnErrorCode(ofConn.ErrorCode), TransportError: err}
	case errors.Is(err, yamux.ErrStreamReset):
		return fmt.Errorf("%w: %w", network.ErrReset, err)
	}
	return err
}
