// Package rpc turns frames into calls and calls into frames: the server admits,
// decodes, dispatches, trims and encodes; the client spends the budgets for
// outbound requests, writes, matches the answer and says in one word what became
// of a request.
//
// The server side is a plain function of (now, sender, frame): a transport calls
// [Server.Serve] for each frame and writes what comes back. The [Gate] in front
// of it, a [Limiter] as a rule, sees the type and the size of a request before
// anything is decoded. The client side works on two small interfaces, [Streams]
// and [Stream], which a transport fulfils.
//
// Everything here is called from many goroutines at once. Nothing starts a
// goroutine, reads a clock, logs, or holds a lock while it waits for a peer.
// Whatever bytes arrive, the outcome is an answer within the bounds of wire.md
// §22 or an error; a handler that panics costs its stream and is counted.
package rpc

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/kdht/kdht/protocol"
)

// Handler answers one type of request. resp comes empty but for Type and
// ClusterLevel (the request's, at least 1), and the handler appends to its lists
// of peers: it must not put lists there that others see. req and whatever it
// holds are borrowed until the handler returns. An error resets the stream
// (wire.md §6) with the code of its method ResetCode() uint32, if it has one; what
// its method Units() float64 says, if it has one, is charged to the sender, beyond
// what requests of its type and size cost: the work of finding the error.
//
// Handlers of Ping and PutValue echo (Message.Echo); peers left in an echo are
// not sent.
type Handler func(now time.Time, from protocol.Remote, req, resp *protocol.Message) error

// Gate decides, before a request is decoded, whether it is served. t is not a
// valid type if the request has none that can be found; size is the frame's. A
// pause delays the next read of the request's stream, which slows an honest burst
// down without losing it; an error resets the stream.
type Gate interface {
	Admit(now time.Time, from protocol.Remote, t protocol.Type, size int) (pause time.Duration, err error)
}

// charger is a Gate that also counts what answers cost.
type charger interface {
	Charge(now time.Time, from protocol.Remote, size int) (pause time.Duration)
}

// biller is a Gate that also counts what refusing took.
type biller interface {
	Bill(now time.Time, from protocol.Remote, units float64) (pause time.Duration)
}

// NoType stands for the type of a frame that does not tell its type.
const NoType protocol.Type = -1

// Server answers requests in one message format. Handlers and the hook are
// registered before the first Serve and never change after it; Serve itself may
// be called from any number of goroutines.
type Server struct {
	codec    protocol.Codec
	gate     Gate    // nil: everybody is admitted
	charge   charger // gate, if it is one
	bill     biller  // gate, if it is one
	load     *Load   // nil: no bound on what is handled at a time
	hook     func(from protocol.Remote, req *protocol.Message)
	handlers [protocol.NumTypes]Handler
	counts   serverCounts
}

// NewServer returns a server for codec's format behind gate; a nil gate admits
// everything. It has no handlers yet.
func NewServer(codec protocol.Codec, gate Gate) *Server {
	s := &Server{codec: codec, gate: gate}
	s.charge, _ = gate.(charger)
	s.bill, _ = gate.(biller)
	return s
}

// Handle makes h answer requests of type t. Requests of a type without handler
// are refused. It must not be called once Serve may be.
func (s *Server) Handle(t protocol.Type, h Handler) {
	if !t.Valid() {
		panic(fmt.Sprintf("BUG: rpc: no requests are of type %v", t))
	}
	s.handlers[t] = h
}

// Hook makes Serve call fn with every decoded request before its handler, which
// may look at req but not keep it. It must not be called once Serve may be.
func (s *Server) Hook(fn func(from protocol.Remote, req *protocol.Message)) { s.hook = fn }

// Behind makes requests that have been admitted wait for a worker of l, which
// several servers may share. It must not be called once Serve may be.
func (s *Server) Behind(l *Load) { s.load = l }

// Serve answers the request in frame, a message without length prefix, that came
// from the authenticated peer from. The answer is appended to out[:0] and is nil
// if there is nothing to send (AddProvider has no answer, wire.md §5). pause is
// how long the stream's next read is to be put off. err means: reset the stream,
// with the code of its method ResetCode() uint32, if it has one. Serve keeps
// neither frame nor out. Behind a Load it waits for a worker, as long as that
// says; the request then counts as one of the time it came at.
func (s *Server) Serve(now time.Time, from protocol.Remote, frame, out []byte) (answer []byte, pause time.Duration, err error) {
	t, typeErr := s.codec.Type(frame)
	if typeErr != nil {
		t = NoType
	}
	c := s.counts.of(t)
	c.bytesIn.Add(uint64(len(frame)))
	if s.gate != nil {
		if pause, err = s.gate.Admit(now, from, t, len(frame)); err != nil {
			c.limited.Add(1)
			return nil, pause, err
		}
	}
	if typeErr != nil {
		c.malformed.Add(1)
		return nil, pause, violation("request without readable type", typeErr)
	}
	if !t.Valid() || s.handlers[t] == nil {
		c.unhandled.Add(1)
		return nil, pause, ErrUnhandled
	}
	in := call{now, from, t, frame}
	if s.load == nil {
		answer, err = s.serve(in, out)
	} else {
		answer, err = s.inTurn(in, out)
	}
	if answer == nil {
		return nil, pause, err
	}
	c.bytesOut.Add(uint64(len(answer)))
	if s.charge != nil {
		pause = max(pause, s.charge.Charge(now, from, len(answer)))
	}
	return answer, pause, nil
}

// call is one admitted request.
type call struct {
	now   time.Time
	from  protocol.Remote
	t     protocol.Type
	frame []byte
}

// inTurn is serve when a worker is free, or ErrBusy.
func (s *Server) inTurn(in call, out []byte) ([]byte, error) {
	if err := s.load.enter(in.now, in.from, defaultCosts[in.t]+float64(len(in.frame))/unitBytesIn); err != nil {
		s.counts.of(in.t).shed.Add(1)
		return nil, err
	}
	defer s.load.leave()
	return s.serve(in, out)
}

// serve runs everything after admission. A panic anywhere in it ends here, and
// the messages it may have left half-written are not used again.
func (s *Server) serve(in call, out []byte) (answer []byte, err error) {
	x := exchanges.Get().(*exchange)
	c := s.counts.of(in.t)
	defer func() {
		if v := recover(); v != nil {
			c.panicked.Add(1)
			answer, err = nil, &PanicError{Type: in.t, Value: v, Stack: debug.Stack()}
			return
		}
		x.release()
	}()
	if err := s.codec.Decode(in.frame, &x.req); err != nil {
		c.malformed.Add(1)
		return nil, violation("request", err)
	}
	if x.req.Type != in.t { // what was admitted is what is served
		c.malformed.Add(1)
		return nil, violation("request", protocol.ErrMalformed)
	}
	if s.hook != nil {
		s.hook(in.from, &x.req)
	}
	x.prepare()
	if err := s.handlers[in.t](in.now, in.from, &x.req, &x.resp); err != nil {
		c.refused.Add(1)
		s.billWork(in, err)
		return nil, fmt.Errorf("%v: %w", in.t, err)
	}
	if in.t == protocol.AddProvider {
		c.served.Add(1)
		return nil, nil
	}
	x.resp.Type = in.t
	if isEcho(in.t) {
		answer, err = s.encodeEcho(in, &x.req, &x.resp, out)
	} else {
		answer, err = s.encode(&x.resp, out)
	}
	if err != nil {
		c.failed.Add(1)
		return nil, fmt.Errorf("%v: answer: %w", in.t, err)
	}
	c.served.Add(1)
	return answer, nil
}

// maxUnits bounds what one refusal is said to have cost, to a peer's whole burst.
const maxUnits = 1000

// billWork charges the sender for the work that an error says it took.
func (s *Server) billWork(in call, err error) {
	var costly interface{ Units() float64 }
	if s.bill == nil || !errors.As(err, &costly) {
		return
	}
	if units := min(costly.Units(), maxUnits); units > 0 {
		s.bill.Bill(in.now, in.from, units)
	}
}

// encode writes a built answer, trimmed to protocol.MaxAnswer in protobuf form, the
// record it carries not counted (wire.md §22.1).
func (s *Server) encode(resp *protocol.Message, out []byte) ([]byte, error) {
	protocol.Trim(resp)
	if n := sizeWithoutRecord(resp); n > protocol.MaxAnswer { // the key asked for is that long
		return nil, fmt.Errorf("%d bytes without record, at most %d: %w", n, protocol.MaxAnswer, protocol.ErrTooLarge)
	}
	return s.codec.Append(out[:0], resp)
}

// sizeWithoutRecord is what of m's size its bound is about.
func sizeWithoutRecord(m *protocol.Message) int {
	has := m.HasRecord
	m.HasRecord = false
	n := protocol.Size(m)
	m.HasRecord = has
	return n
}

// encodeEcho writes an echo. Encoding is canonical and so hardly ever longer than
// what was decoded (a negative level in a shortened varint, a type given as a
// number in JSON); then the request's own bytes are the echo, or if there are
// peers in them, the level is left out.
func (s *Server) encodeEcho(in call, req, resp *protocol.Message, out []byte) ([]byte, error) {
	resp.CloserPeers, resp.ProviderPeers = nil, nil
	b, err := s.codec.Append(out[:0], resp)
	switch {
	case err != nil || len(b) <= len(in.frame):
		return b, err
	case len(req.CloserPeers)+len(req.ProviderPeers) == 0:
		return append(b[:0], in.frame...), nil
	}
	resp.ClusterLevel = 0
	return s.codec.Append(b[:0], resp)
}

// isEcho reports whether the answer to t is the request itself (wire.md §6).
func isEcho(t protocol.Type) bool { return t == protocol.Ping || t == protocol.PutValue }

// exchange is the room for one request and its answer.
type exchange struct {
	req, resp protocol.Message
	room      protocol.Message // resp as it was before the handler had it
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// prepare readies resp for the handler of req.
func (x *exchange) prepare() {
	x.resp.Reset()
	x.room = x.resp
	x.resp.Type = x.req.Type
	x.resp.ClusterLevel = max(1, x.req.ClusterLevel)
}

// release gives x back for reuse, less what a hostile request made it grow to
// (Message.Reset sees to that). A handler that echoed by assignment has made resp
// share the room of req, which must not end up with two owners.
func (x *exchange) release() {
	if isEcho(x.req.Type) {
		x.resp = x.room
	}
	x.room = protocol.Message{}
	x.req.Reset()
	x.resp.Reset()
	exchanges.Put(x)
}
