package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht"
	"github.com/kdht/kdht/host/build"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

const (
	talkProtocol = "/chat/talk/1.0.0"
	maxLine      = 1 << 10 // of what strangers send no more is read
	patience     = 5 * time.Second
)

// member is somebody in a room.
type member struct {
	host host.Host
	dht  *kdht.DHT
	room cid.Cid
	name string
}

// enter joins the network and announces itself under the room's name; hear is told
// what others say.
func enter(name, room string, hear func(from, line string), known ...kdht.Option) (*member, error) {
	sum, err := multihash.Sum([]byte("/chat/room/"+room), multihash.SHA2_256, -1)
	if err != nil {
		return nil, err
	}
	h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		return nil, err
	}
	h.SetStreamHandler(talkProtocol, func(s network.Stream) { listen(s, hear) })
	dht, err := kdht.New(h, append(known, kdht.ProtocolPrefix("/chat"))...)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	m := &member{host: h, dht: dht, room: cid.NewCidV1(cid.Raw, sum), name: name}
	if err := m.announce(len(known) > 0); err != nil {
		return nil, errors.Join(err, m.leave())
	}
	return m, nil
}

// announce tells the network that we are in the room; the DHT does so again every 22 h.
func (m *member) announce(others bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if others {
		if err := m.dht.WaitReady(ctx); err != nil {
			return err
		}
	}
	return m.dht.Provide(ctx, m.room, others) // who is alone tells itself
}

func (m *member) leave() error { return errors.Join(m.dht.Close(), m.host.Close()) }

// say tells everybody in the room, and how many it reached.
func (m *member) say(ctx context.Context, line string) (reached int, err error) {
	if text := m.name + ": " + line; len(text) > maxLine {
		return 0, fmt.Errorf("a line has %d bytes at most", maxLine)
	}
	// A member may have entered a moment ago: what memory says is not enough.
	for p := range m.dht.FindProvidersAsync(kdht.WithoutCache(ctx), m.room, 0) {
		if p.ID == m.host.ID() {
			continue
		}
		if told := m.tell(ctx, p, line); told == nil {
			reached++
		} else {
			err = told // somebody who has gone; the others hear it
		}
	}
	if reached > 0 {
		return reached, nil
	}
	return 0, errors.Join(err, ctx.Err())
}

func (m *member) tell(ctx context.Context, p peer.AddrInfo, line string) error {
	if err := m.host.Connect(ctx, p); err != nil {
		return err
	}
	s, err := m.host.NewStream(ctx, p.ID, talkProtocol)
	if err != nil {
		return err
	}
	_ = s.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(s, m.name+": "+line); err != nil {
		return errors.Join(err, s.Reset())
	}
	return s.Close()
}

// listen reads one line of somebody. Names are what they say; the id is proven.
func listen(s network.Stream, hear func(from, line string)) {
	_ = s.SetDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(io.LimitReader(s, maxLine))
	if err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
	id := s.Conn().RemotePeer().String()
	hear("…"+id[len(id)-4:], string(text))
}
