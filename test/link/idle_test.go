package link_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdht/kdht/test/link"
	"github.com/libp2p/go-libp2p/core/peer"
)

// What was dialed for a request and is idle is closed, but for whom somebody wants.
func TestCloseIdle(t *testing.T) {
	const idle = 2 * time.Minute
	nobody := func(peer.ID) bool { return false }
	for _, c := range []struct {
		name    string
		prepare func(client, server *member)
		keep    func(peer.ID) bool
		gone    bool
	}{
		{"nobody wants it", func(_, _ *member) {}, nobody, true},
		{"a member", func(_, _ *member) {}, func(peer.ID) bool { return true }, false},
		{"tagged by the host's owner", func(client, server *member) { client.libp2p.ConnManager().TagPeer(server.ID(), "app", 1) }, nobody, false},
		{"tagged by ourselves", func(client, server *member) { client.Rank(server.ID(), 5, false) }, nobody, true},
		{"protected by ourselves", func(client, server *member) { client.Rank(server.ID(), 5, true) }, nobody, true},
		{"protected by us both", func(client, server *member) {
			client.Rank(server.ID(), 5, true)
			client.libp2p.ConnManager().Protect(server.ID(), "app")
		}, nobody, false},
		{"protected", func(client, server *member) { client.libp2p.ConnManager().Protect(server.ID(), "app") }, nobody, false},
		{"used by the host's owner", hold, nobody, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := acquainted(t)
				time.Sleep(idle - time.Second)
				client.CloseIdle(idle, c.keep)
				time.Sleep(time.Second / 2)
				if !client.Connected(server.ID()) {
					t.Fatal("it was closed before it was idle for so long")
				}
				time.Sleep(time.Second)
				c.prepare(client, server)
				client.CloseIdle(idle, c.keep)
				server.CloseIdle(idle, c.keep)
				time.Sleep(time.Second)
				if kept := client.libp2p.ConnManager().IsProtected(server.ID(), ""); kept != strings.HasPrefix(c.name, "protected") {
					t.Errorf("protected afterwards: %v", kept)
				}
				if gone := !client.Connected(server.ID()); gone != c.gone {
					t.Errorf("closed: %v", gone)
				}
			})
		})
	}
}

// hold has the host's owner open a stream and leave it open.
func hold(client, server *member) {
	if _, err := client.libp2p.NewStream(context.Background(), server.ID(), proto); err != nil {
		panic(err)
	}
}

// acquainted returns two hosts, of which the first has asked the other something.
func acquainted(t *testing.T) (client, server *member) {
	t.Helper()
	net := newNetwork(t, link.NewVirtual)
	server, client = start(t, net, 0, overQUIC), start(t, net, 1, overQUIC)
	server.serve(t)
	client.Remember(server.ID(), server.Addrs(), time.Hour)
	if _, err := client.ask(t.Context(), server, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// Of two connections to one peer, one dialed by either, one goes, even if both want it;
// what comes next uses the other.
func TestCloseIdleOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork(t, link.NewVirtual)
		a, b := start(t, net, 0, overQUIC), start(t, net, 1, overQUIC)
		a.serve(t)
		b.serve(t)
		a.Remember(b.ID(), b.Addrs(), time.Hour)
		b.Remember(a.ID(), a.Addrs(), time.Hour)
		done := make(chan error, 2)
		go func() { _, err := a.ask(t.Context(), b, []byte("hello")); done <- err }()
		go func() { _, err := b.ask(t.Context(), a, []byte("hello")); done <- err }()
		for range 2 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if n := len(a.libp2p.Network().Conns()); n != 2 {
			t.Fatalf("who dial each other at once have %d connections; this test is about two", n)
		}
		time.Sleep(3 * time.Minute)
		all := func(peer.ID) bool { return true }
		a.CloseIdle(2*time.Minute, all)
		b.CloseIdle(2*time.Minute, all)
		time.Sleep(time.Second)
		if n := len(a.libp2p.Network().Conns()); n != 1 {
			t.Errorf("%d connections are left", n)
		}
		for _, m := range [][2]*member{{a, b}, {b, a}} {
			if _, err := m[0].ask(t.Context(), m[1], []byte("hello")); err != nil {
				t.Error(err)
			}
		}
	})
}
