package build

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	muxer "github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-yamux/v5"
)

// talk is a session of m, and its peer's, which is yamux alone.
func talk(t *testing.T, m *multiplexer) (*session, *yamux.Session) {
	t.Helper()
	near, far := net.Pipe()
	served, err := m.NewConn(near, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := yamux.Client(far, muxer.DefaultTransport.Config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return served.(*session), peer
}

// begun opens a stream on one side and accepts it on the other.
func begun[O, A any](t *testing.T, open func(context.Context) (O, error), accept func() (A, error)) (out O, in A) {
	t.Helper()
	out, err := open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if in, err = accept(); err != nil {
		t.Fatal(err)
	}
	return out, in
}

// stuff opens and accepts n streams of the peer's and then writes size bytes to
// each, on goroutines of their own.
func stuff(t *testing.T, s *session, peer *yamux.Session, n, size int) (accepted []network.MuxedStream, sent []*yamux.Stream) {
	t.Helper()
	for range n {
		out, in := begun(t, peer.OpenStream, s.AcceptStream)
		accepted, sent = append(accepted, in), append(sent, out)
	}
	for _, out := range sent {
		go func() { _, _ = out.Write(make([]byte, size)) }()
	}
	return accepted, sent
}

// held returns what the meter says is unread.
func (m *meter) held() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unread
}

// A peer whose streams nobody reads is stopped at the limit, and goes on where it
// stood when they are read: nothing is lost.
func TestUnreadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMultiplexer()
		s, peer := talk(t, m)
		defer peer.Close()
		defer s.Close()
		const streams, size = 16, 256 << 10
		accepted, _ := stuff(t, s, peer, streams, size)
		synctest.Wait()
		if n := s.meter.held(); n > usualInflow || n < usualInflow-64<<10 || m.all.held.Load() != n {
			t.Fatalf("%d bytes unread, %d of all; the peer wants to send %d", n, m.all.held.Load(), streams*size)
		}
		for _, in := range accepted {
			go func() { _, _ = io.CopyN(io.Discard, in, size) }()
		}
		synctest.Wait()
		if n, all := s.meter.held(), m.all.held.Load(); n != 0 || all != 0 {
			t.Errorf("all read: %d bytes held, %d of all", n, all)
		}
		if _, err := accepted[0].Write([]byte("x")); err != nil {
			t.Error(err)
		}
	})
}

// Where connections hold much together, each may hold a stream's window only; when
// the others are gone it may hold more again.
func TestUnreadOfAllIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMultiplexer()
		m.all.held.Store(calmInflow)
		s, peer := talk(t, m)
		defer peer.Close()
		stuff(t, s, peer, 4, 256<<10)
		synctest.Wait()
		if n := s.meter.held(); n > crowdedInflow || n == 0 {
			t.Errorf("crowded: %d bytes unread", n)
		}
		m.all.held.Add(-calmInflow)
		time.Sleep(3 * inflowLook)
		synctest.Wait()
		if n := s.meter.held(); n != 4*256<<10 {
			t.Errorf("calm again: %d bytes unread", n)
		}
		_ = s.Close()
		if all := m.all.held.Load(); all != 0 {
			t.Errorf("closed: %d bytes held", all)
		}
	})
}

// A peer that has gone is noticed though nothing is read of its connection; one that
// is there stays connected.
func TestWhoIsStoppedIsAskedWhetherItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMultiplexer()
		s, peer := talk(t, m)
		stuff(t, s, peer, 16, 256<<10)
		time.Sleep(3 * knockLooks * inflowLook)
		synctest.Wait()
		if s.IsClosed() || peer.IsClosed() {
			t.Fatal("closed while the peer is there")
		}
		_ = peer.Close()
		synctest.Wait()
		if s.IsClosed() {
			t.Fatal("noticed without being asked: this shows nothing")
		}
		time.Sleep(knockLooks * inflowLook)
		synctest.Wait()
		if all := m.all.held.Load(); !s.IsClosed() || all != 0 {
			t.Errorf("gone: closed %v, %d bytes held", s.IsClosed(), all)
		}
	})
}

// A stream's end, whichever side makes it, frees what it held, and so does turning
// a stream away that was never accepted.
func TestEndedStreamsHoldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMultiplexer()
		s, peer := talk(t, m)
		defer peer.Close()
		defer s.Close()
		accepted, sent := stuff(t, s, peer, 8, 200<<10)
		synctest.Wait()
		if s.meter.held() != 8*200<<10 {
			t.Fatalf("%d bytes unread", s.meter.held())
		}
		_, _, _, _ = accepted[0].Reset(), accepted[1].ResetWithError(7), accepted[2].Close(), accepted[3].CloseRead()
		_, _ = sent[4].Reset(), sent[5].ResetWithError(7)
		synctest.Wait()
		if n := s.meter.held(); n != 2*200<<10 {
			t.Errorf("6 of 8 streams ended: %d bytes unread", n)
		}
		if _, err := accepted[5].Read(make([]byte, 1)); !errors.Is(err, &network.StreamError{Remote: true, ErrorCode: 7}) {
			t.Errorf("reset by the peer: %v", err)
		}
		_, _ = accepted[6].Reset(), accepted[7].Reset()
	})
}

// Streams that yamux has turned away, for there were too many, hold nothing: they
// are found out when a later one is accepted. Nobody may open them without end.
func TestStreamsTurnedAwayHoldNothing(t *testing.T) {
	m := newMeter(nil, new(inflow))
	for id := uint32(1); id < 20; id += 2 {
		if !m.opened(id) || !m.hold(id, 100) {
			t.Fatal("no room")
		}
	}
	m.accepted(1)
	m.accepted(7) // 3 and 5 were turned away
	if n := m.held(); n != 800 || m.all.held.Load() != n {
		t.Errorf("8 streams of 100 bytes are left: %d held", n)
	}
	m.read(3, 100)
	m.read(7, 60)
	if n := m.held(); n != 740 {
		t.Errorf("60 bytes read: %d held", n)
	}
	for id := uint32(21); m.opened(id); id += 2 {
		if id > 4*maxUnaccepted {
			t.Fatal("any number of streams")
		}
	}
}

// Whatever is said on any number of streams in whatever pieces arrives as it was
// sent, and nothing is held at the end.
func TestMeteredStreamsCarry(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		m := newMultiplexer()
		s, peer := talk(t, m)
		defer peer.Close()
		defer s.Close()
		done := make(chan error, 64)
		for i := range 32 {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			data := make([]byte, rng.IntN(1<<20))
			for i := range data {
				data[i] = byte(i * (i >> 8))
			}
			var here, there io.ReadWriteCloser
			if i%2 == 0 {
				there, here = begun(t, peer.OpenStream, s.AcceptStream)
			} else {
				here, there = begun(t, s.OpenStream, peer.AcceptStream)
			}
			go func() { // in pieces of any size, echoed
				for rest := data; len(rest) > 0; {
					n := min(len(rest), 1+rng.IntN(100_000))
					if _, err := there.Write(rest[:n]); err != nil {
						break
					}
					rest = rest[n:]
				}
			}()
			go func() { _, _ = io.CopyN(here, here, int64(len(data))) }()
			go func() {
				back := make([]byte, len(data))
				_, err := io.ReadFull(there, back)
				if err == nil && !bytes.Equal(back, data) {
					err = errors.New("other bytes than were sent")
				}
				_ = here.Close()
				done <- err
			}()
		}
		for range 32 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if n := s.meter.held(); n != 0 || m.all.held.Load() != 0 {
			t.Errorf("%d bytes held at the end", n)
		}
	})
}
