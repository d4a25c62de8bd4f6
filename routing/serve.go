package routing

import (
	"time"

	"github.com/kdht/kdht/host"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/rpc"
	"github.com/kdht/kdht/routing/kademlia"
	"github.com/libp2p/go-libp2p/core/peer"
	coreprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// wire is the format of deployed peers.
var wire = protocol.Protobuf

// server answers others' requests, in one format per protocol id, behind one
// gate and one budget of workers.
type server struct {
	limiter  *rpc.Limiter
	load     *rpc.Load
	main     *rpc.Server
	json     *rpc.Server // nil if there is no JSON twin
	handlers map[coreprotocol.ID]host.FrameHandler
}

func newServer(d *DHT) server {
	answers := &kademlia.Handlers{
		Self: d.transport.ID(), K: d.cfg.K, View: d.loop.node.View, Book: d.book, Addrs: d.cfg.Filters.take(), Told: d.watched.served.add,
	}
	if d.values != nil {
		answers.Values = d.values
	}
	if d.providers != nil {
		answers.Providers = d.providers
	}
	load := d.cfg.Serving.Load
	if load.Entitled == nil {
		load.Entitled = func(id peer.ID) bool { return d.loop.node.View().Contains(id) }
	}
	if load.Timer == nil {
		load.Timer = func(after time.Duration, f func()) func() bool { return time.AfterFunc(after, f).Stop }
	}
	s := server{
		limiter: rpc.NewLimiter(d.cfg.Serving.Limit), load: rpc.NewLoad(load),
		handlers: make(map[coreprotocol.ID]host.FrameHandler),
	}
	s.main = s.add(d, d.cfg.Protocol, wire, answers)
	if d.cfg.JSONProtocol != "" {
		s.json = s.add(d, d.cfg.JSONProtocol, protocol.JSON, answers)
	}
	for id, codec := range d.cfg.Serving.Formats {
		s.add(d, id, codec, answers)
	}
	return s
}

// add makes a protocol id serve answers in codec's format.
func (s *server) add(d *DHT, id coreprotocol.ID, codec protocol.Codec, answers *kademlia.Handlers) *rpc.Server {
	r := rpc.NewServer(codec, s.limiter)
	r.Behind(s.load)
	r.Handle(protocol.Ping, answers.Ping)
	r.Handle(protocol.FindNode, answers.FindNode)
	if answers.Values != nil {
		r.Handle(protocol.GetValue, answers.GetValue)
		r.Handle(protocol.PutValue, answers.PutValue)
	}
	if answers.Providers != nil {
		r.Handle(protocol.GetProviders, answers.GetProviders)
		r.Handle(protocol.AddProvider, answers.AddProvider)
	}
	if d.cfg.Serving.OnRequest != nil {
		r.Hook(d.cfg.Serving.OnRequest)
	}
	s.handlers[id] = func(from host.Sender, frame, out []byte) ([]byte, time.Duration, error) {
		d.book.sender(from.Peer)
		now := d.loop.now()
		answer, pause, err := r.Serve(now, protocol.Remote{Peer: from.Peer, IP: from.IP}, frame, out)
		if err == nil {
			if t, typeErr := codec.Type(frame); typeErr == nil {
				d.watched.in.note(t, d.loop.now().Sub(now))
			}
		}
		return answer, pause, err
	}
	return r
}
