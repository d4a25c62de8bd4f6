package build

import (
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
)

// Windows of QUIC connections grow as libp2p lets them while there is room for all,
// and what a connection had is there for others when it has ended.
func TestWindowsOfAllAreBounded(t *testing.T) {
	const part = 1 << 20
	m, err := newResourceManager(nil, 0, roomFor(maxConns, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	open := func() network.ConnManagementScope {
		c, err := m.OpenConnection(network.DirInbound, false, multiaddr.StringCast("/ip4/127.0.0.1/udp/1/quic-v1"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	grows := func(c network.ConnManagementScope) bool {
		err := c.ReserveMemory(part, network.ReservationPriorityMedium)
		if err != nil && !errors.Is(err, network.ErrResourceLimitExceeded) {
			t.Error(err)
		}
		return err == nil
	}
	var conns []network.ConnManagementScope
	for range maxWindows / part {
		c := open()
		if !grows(c) {
			t.Fatalf("refused with %d grown", len(conns))
		}
		conns = append(conns, c)
	}
	if grows(conns[0]) {
		t.Error("one connection grows beyond its own bound")
	}
	late := open()
	if grows(late) {
		t.Error("all are full, and one more grows")
	}
	conns[1].ReleaseMemory(part)
	if !grows(late) || grows(conns[1]) {
		t.Error("what is released is not there for one other")
	}
	for range 2 { // twice is once
		late.Done()
	}
	last := open()
	if !grows(last) || grows(open()) {
		t.Error("what ended is not there for one other")
	}
	for _, c := range append(conns, last) {
		c.Done()
	}
	if n := m.(*fairPending).ResourceManager.(*windows).grown; n != 0 {
		t.Errorf("%d bytes left when all have ended", n)
	}
}
