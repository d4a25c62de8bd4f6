package live

import (
	"context"
	"errors"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/host/build"
	kprotocol "github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/crawl"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
)

// Outside asks the peers of a network without being one of them: nobody hears of it, and it answers nothing. Close ends it.
type Outside struct {
	*routing.Caller
	host     host.Host
	protocol protocol.ID
	profile  profile.Profile
}

// Approach returns an Outside of the network that cfg says, that speaks codec's format; a network of IPFS nodes has no JSON.
func Approach(cfg Config, codec kprotocol.Codec) (*Outside, error) {
	id, json, _ := protocols(&cfg)
	if codec == nil {
		codec = kprotocol.Protobuf
	}
	if codec.Name() == kprotocol.JSON.Name() {
		id = json
	}
	dialed := cfg.Profile
	if cfg.Network == Dual {
		dialed = profile.Private
	}
	h, err := build.New(build.Config{PrivKey: cfg.Key, Listen: []string{}, Protocols: []protocol.ID{id}, UserAgent: userAgent, Profile: dialed})
	if err != nil {
		return nil, classify(err)
	}
	c, err := routing.NewCaller(h, id, codec)
	if err != nil {
		_ = h.Close()
		return nil, classify(err)
	}
	return &Outside{Caller: c, host: h, protocol: id, profile: dialed}, nil
}

// Close ends it and its host.
func (o *Outside) Close() error {
	err := o.Caller.Close()
	_ = o.host.Close()
	return err
}

// ID is who asks.
func (o *Outside) ID() peer.ID { return o.host.ID() }

// Take keeps the addresses that belong to the network.
func (o *Outside) Take() func([][]byte) [][]byte {
	if o.profile == profile.Private {
		return nil
	}
	return o.profile.Cut
}

// Ask is Caller.Ask with errors for people.
func (o *Outside) Ask(ctx context.Context, to peer.AddrInfo, req *kprotocol.Message) (*kprotocol.Message, error) {
	if err := o.host.Connect(ctx, to); err != nil && ctx.Err() == nil {
		return nil, control.Errorf(control.Failed, "cannot reach %s: %s; does that peer run, and is the address right?", to.ID, brief(err))
	}
	resp, err := o.Caller.Ask(ctx, to, req)
	switch {
	case err == nil:
		return resp, nil
	case errors.Is(err, kprotocol.ErrUnsupported):
		return nil, control.Errorf(control.Failed, "%s does not serve %s: is it a client, or of another network? (--network, --protocol-prefix)", to.ID, o.protocol)
	case errors.Is(err, kprotocol.ErrRefused):
		return nil, control.Errorf(control.Failed, "%s refused %s: it does not do this, or not as often", to.ID, req.Type)
	case errors.Is(err, kprotocol.ErrMalformed):
		return nil, control.Errorf(control.Failed, "the answer of %s is no use: %s", to.ID, control.Line(err))
	}
	return nil, classify(err)
}

// identifyTime is how long a peer that has answered may take to say what it is.
const identifyTime = time.Second

// FindNode implements crawl.Sender: when it returns, the peer has said what it is, if it does within a second.
func (o *Outside) FindNode(ctx context.Context, to crawl.Peer, key []byte) ([]kprotocol.Peer, error) {
	closer, err := o.Caller.FindNode(ctx, to, key)
	if err != nil || o.Agent(to.ID) != "" {
		return closer, err
	}
	identifying, ok := o.host.(interface{ IDService() identify.IDService })
	if !ok {
		return closer, nil
	}
	var said []<-chan struct{}
	for _, c := range o.host.Network().ConnsToPeer(to.ID) {
		said = append(said, identifying.IDService().IdentifyWait(c))
	}
	awaitAll(ctx, identifyTime, said)
	return closer, nil
}

// awaitAll waits for all to be closed, for so long together and until ctx ends.
func awaitAll(ctx context.Context, most time.Duration, all []<-chan struct{}) {
	over := time.NewTimer(most)
	defer over.Stop()
	for _, one := range all {
		select {
		case <-one:
		case <-over.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Agent is what a peer calls its program, as it says it; empty if it has not.
func (o *Outside) Agent(id peer.ID) string {
	agent, _ := o.host.Peerstore().Get(id, "AgentVersion")
	text, _ := agent.(string)
	return text
}

// Cause returns why a request failed, in a word.
func Cause(err error) string {
	for _, c := range []struct {
		err  error
		word string
	}{
		{kprotocol.ErrUnreachable, "unreachable"},
		{kprotocol.ErrUnsupported, "unsupported"},
		{kprotocol.ErrRefused, "refused"},
		{kprotocol.ErrTimeout, "timeout"},
		{kprotocol.ErrMalformed, "malformed"},
		{kprotocol.ErrLocal, "local"},
	} {
		if errors.Is(err, c.err) {
			return c.word
		}
	}
	return "called off"
}
