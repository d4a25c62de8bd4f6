package host

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// Why a peer could not be asked. An error that carries none of these and no
// context error is about a stream that was open: network.ErrReset,
// os.ErrDeadlineExceeded, io.EOF, or one of frame.go's.
var (
	// ErrUnreachable means that no address of the peer could be dialed.
	ErrUnreachable = errors.New("peer unreachable")
	// ErrUnsupported means that the peer is there and does not speak the protocol.
	ErrUnsupported = errors.New("protocol not supported by peer")
	// ErrTooManyStreams means that a limit of this process refused the stream;
	// the peer is not to blame.
	ErrTooManyStreams = errors.New("too many streams")
	// ErrServed means that the host answers a protocol for somebody else already.
	ErrServed = errors.New("already served on this host")
	// ErrClosed means that the endpoint has been closed.
	ErrClosed = errors.New("endpoint closed")
)

// Sender is the authenticated origin of a frame: the peer whose key secured the
// connection, and the address it comes from. IP is the zero Addr when the
// connection has none of its own (a relayed or in-memory one).
type Sender struct {
	Peer peer.ID
	IP   netip.Addr
}

// FrameHandler answers one frame. The answer may be appended to out (whose
// length is zero) or be any other slice; nil means that nothing is sent and the
// stream stays open. pause delays the stream's next read. An error resets the
// stream, with the code of its ResetCode() uint32 method if it has one.
//
// frame and out are the handler's until it returns, and not a moment longer.
// Handlers run on their stream's goroutine, many at a time.
type FrameHandler func(from Sender, frame, out []byte) (answer []byte, pause time.Duration, err error)

// Transport moves frames between this peer and others. It knows no message:
// what is in a frame is the business of those above. All methods are safe for
// concurrent use.
type Transport interface {
	// ID returns this peer's id.
	ID() peer.ID
	// Addrs returns the addresses this peer announces, without /p2p.
	Addrs() []multiaddr.Multiaddr
	// PeerAddrs returns what is known of p's addresses, without /p2p and at most
	// Config.MaxAddrs: those of live connections, certified ones, others.
	PeerAddrs(p peer.ID) []multiaddr.Multiaddr
	// Remember keeps addresses of p for ttl, for dialing it later.
	Remember(p peer.ID, addrs []multiaddr.Multiaddr, ttl time.Duration)
	// Connected reports a direct connection to p; a relayed one does not count.
	Connected(p peer.ID) bool
	// Connect makes sure there is a direct connection. It does not wait for the
	// peer to be identified (Watcher.Speaks tells). Errors wrap ErrUnreachable,
	// ErrTooManyStreams, ErrClosed or ctx's error.
	Connect(ctx context.Context, p peer.AddrInfo) error
	// Open returns a stream to the peer: an idle one unless fresh, else a new one,
	// dialing first where needed. While the peer has no slot free it waits. Errors
	// wrap ErrUnreachable, ErrUnsupported, ErrTooManyStreams, ErrClosed or ctx's
	// error. Every stream ends in Release or Reset.
	Open(ctx context.Context, to peer.ID, fresh bool) (Stream, error)
	// Serve answers frames of these protocols, and of no others, from now on. If
	// somebody else on this host serves one of them, it changes nothing and the
	// error wraps ErrServed.
	Serve(handlers map[protocol.ID]FrameHandler) error
	// StopServing ends what Serve began and resets every inbound stream. It does
	// not wait for handlers that are running.
	StopServing()
	// Watch reports events to w until stop, current connections first. See Watcher.
	Watch(w Watcher) (stop func(), err error)
	// PublicKey returns the key that p's id inlines or a connection has proved.
	PublicKey(p peer.ID) (crypto.PubKey, error)
	// Close ends serving, closes all streams and waits for running handlers, for 5 s
	// at most: the error then names one that blocks. The host below stays open.
	Close() error
}

// Watcher is told what happens to connections. All its functions are called
// from one goroutine, one at a time; a nil one means that nobody cares. They
// report states rather than events: of changes that undo each other faster than
// they are reported, nothing is heard.
type Watcher struct {
	// Speaks means connected, and identified as speaking our protocol. It is
	// called again whenever the peer is identified anew.
	Speaks func(p peer.ID)
	// Silent means connected, and identified as not (or no longer) speaking it.
	Silent func(p peer.ID)
	// Connected and Disconnected tell when the first direct connection to a peer
	// is there and when the last is gone.
	Connected, Disconnected func(p peer.ID)
	// Addrs tells that this peer's own addresses have changed.
	Addrs func()
	// Reachable tells what libp2p found out about this peer's reachability.
	Reachable func(network.Reachability)
}

// Stream is one use of a stream to a peer: from Open until Release or Reset,
// after which nothing but these two, without effect, may be called. Frames are
// written and read by one goroutine at a time; SetDeadline and Reset may be
// called by any. Its errors wrap this package's, or say how the stream ended:
// io.EOF only if the peer closed its side between two frames.
type Stream interface {
	// Peer is whom the stream leads to, Reused whether it has carried requests
	// before.
	Peer() peer.ID
	Reused() bool
	// WriteFrame writes one frame; ReadFrame reads one, which the caller owns.
	WriteFrame(b []byte) error
	ReadFrame() ([]byte, error)
	// SetDeadline bounds all reading and writing; the zero time lifts the bound.
	SetDeadline(t time.Time) error
	// CloseWrite ends our side: the peer sees that no frame follows.
	CloseWrite() error
	// Release gives the stream back for the next request; Reset ends it.
	Release()
	Reset()
}
