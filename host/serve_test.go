package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-varint"
)

// bench is a server and the far ends of the streams it serves, in a bubble of
// testing/synctest.
type bench struct {
	*testing.T
	server *server
}

func newBench(t *testing.T, change func(*Config)) *bench {
	cfg := Config{Protocol: "/t/1"}
	if change != nil {
		change(&cfg)
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, server: newServer(cfg)}
	b.server.start()
	return b
}

// dial opens a stream that handle serves.
func (b *bench) dial(from peer.ID, handle FrameHandler) (client, served *memStream) {
	client, served = memPair(b.T, from, "server")
	go b.server.serve(served, handle)
	return client, served
}

func echo(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
	return append(out, frame...), 0, nil
}

func (b *bench) send(s *memStream, raw ...byte) {
	b.Helper()
	if _, err := s.Write(raw); err != nil {
		b.Fatalf("write: %v", err)
	}
}

// expect reads one frame.
func (b *bench) expect(s *memStream, want string) {
	b.Helper()
	f := &frameReader{src: s, max: 4 << 20}
	got, err := readFrame(b, f)
	if err != nil || string(got) != want || !f.empty() {
		b.Errorf("answer %q, %v; want %q", got, err, want)
	}
}

// expectReset waits for the stream's reset, its code and its instant.
func (b *bench) expectReset(s *memStream, code network.StreamErrorCode, at time.Duration) {
	b.Helper()
	start := time.Now()
	_, err := s.Read(make([]byte, 1))
	var reset *network.StreamError
	if !errors.As(err, &reset) || reset.ErrorCode != code {
		b.Errorf("got %v, want a reset with code %#x", err, code)
	}
	if got := time.Since(start); got != at {
		b.Errorf("reset after %v, want %v", got, at)
	}
}

func TestServeAnswersInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		var senders []Sender
		c, served := b.dial("client", func(from Sender, frame, out []byte) ([]byte, time.Duration, error) {
			senders = append(senders, from)
			return append(append(out, "re: "...), frame...), 0, nil
		})
		b.send(c, bytes.Join([][]byte{frameOf([]byte("one")), frameOf([]byte("two")), frameOf([]byte("three"))}, nil)...)
		f := &frameReader{src: c, max: 4 << 20}
		for _, want := range []string{"re: one", "re: two", "re: three"} {
			if got, err := readFrame(t, f); err != nil || string(got) != want {
				t.Errorf("answer %q, %v; want %q", got, err, want)
			}
		}
		_ = c.CloseWrite()
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after half-closing between frames: %v, want a clean end", err)
		}
		want := Sender{Peer: "client", IP: netip.MustParseAddr("127.0.0.1")}
		if len(senders) != 3 || senders[2] != want {
			t.Errorf("senders %v, want %v", senders, want)
		}
		if served.scope.service != serviceName {
			t.Errorf("stream booked as %q", served.scope.service)
		}
	})
}

func TestServeHalfClosedClientGetsItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		c, _ := b.dial("client", echo)
		b.send(c, frameOf([]byte("bye"))...)
		_ = c.CloseWrite()
		b.expect(c, "bye")
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("then %v, want a clean end", err)
		}
	})
}

func TestServeNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		c, _ := b.dial("client", func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
			switch string(frame) {
			case "silent":
				return nil, 0, nil
			case "empty":
				return out, 0, nil
			}
			return append(out, frame...), 0, nil
		})
		b.send(c, append(frameOf([]byte("silent")), frameOf([]byte("empty"))...)...)
		b.expect(c, "") // the empty answer is a frame, the missing one is not
		b.send(c, frameOf([]byte("next"))...)
		b.expect(c, "next")
		c.Reset()
	})
}

func TestServeAnswersOfAnySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		static := bytes.Repeat([]byte("s"), 100)
		c, served := b.dial("client", func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
			if string(frame) == "static" {
				return static, 0, nil
			}
			return append(out, bytes.Repeat(frame[:1], int(frame[1])<<12|int(frame[2]))...), 0, nil
		})
		for _, size := range []int{1, 4000, 1 << 12, 100, 5 << 12, 100, 255<<12 + 255, 7} {
			b.send(c, frameOf([]byte{'x', byte(size >> 12), byte(size)})...)
			b.expect(c, string(bytes.Repeat([]byte("x"), size&^0xf00)))
		}
		b.send(c, frameOf([]byte("static"))...)
		b.expect(c, string(static))
		synctest.Wait()
		if held := served.scope.holds(); held != serveBase {
			t.Errorf("%d bytes stay booked between frames, want %d", held, serveBase)
		}
		c.Reset()
	})
}

func TestServeLargeRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		c, served := b.dial("client", func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
			return fmt.Append(out, len(frame)), 0, nil
		})
		b.send(c, frameOf(make([]byte, 4<<20))...)
		b.expect(c, "4194304")
		if peak := served.scope.peak; peak < 4<<20 || peak > 4<<20+2*serveBase {
			t.Errorf("at most %d bytes booked for a frame of 4 MiB", peak)
		}
		synctest.Wait()
		if held := served.scope.holds(); held != serveBase || b.server.buffered != 0 {
			t.Errorf("%d bytes booked and %d granted after it", held, b.server.buffered)
		}
		c.Reset()
	})
}

func TestServeHostileFrames(t *testing.T) {
	for name, c := range map[string]struct {
		raw  []byte
		code network.StreamErrorCode
	}{
		"over-long length": {[]byte{0x85, 0x00, 1, 2, 3, 4, 5}, network.StreamProtocolViolation},
		"4 MiB and 1":      {varint.ToUvarint(4<<20 + 1), network.StreamProtocolViolation},
		"2^32 and 4":       {append(varint.ToUvarint(1<<32+4), 1, 2, 3, 4), network.StreamProtocolViolation},
		"endless length":   {bytes.Repeat([]byte{0xff}, 20), network.StreamProtocolViolation},
		"refused":          {frameOf([]byte("refuse me")), 0x1234},
		"failed":           {frameOf([]byte("fail")), network.StreamNoError},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				s, _ := b.dial("client", func(_ Sender, frame, _ []byte) ([]byte, time.Duration, error) {
					if string(frame) == "refuse me" {
						return nil, 0, fmt.Errorf("wrapped: %w", codedError(0x1234))
					}
					return nil, 0, errors.New("no")
				})
				b.send(s, c.raw...)
				b.expectReset(s, c.code, 0)
				b.server.wait()
			})
		})
	}
}

type codedError uint32

func (e codedError) Error() string     { return "coded" }
func (e codedError) ResetCode() uint32 { return uint32(e) }

func TestServeTruncatedFrame(t *testing.T) {
	for _, raw := range [][]byte{{0x80}, {5, 1}, append(varint.ToUvarint(100_000), make([]byte, 50_000)...)} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil)
			s, _ := b.dial("client", echo)
			b.send(s, raw...)
			_ = s.CloseWrite()
			b.expectReset(s, network.StreamProtocolViolation, 0)
			b.server.wait()
			if b.server.buffered != 0 {
				t.Errorf("%d bytes stay granted", b.server.buffered)
			}
		})
	}
}

func TestServeIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		s, _ := b.dial("client", echo)
		time.Sleep(59 * time.Second)
		b.send(s, frameOf([]byte("still here"))...)
		b.expect(s, "still here")
		b.expectReset(s, network.StreamGarbageCollected, 60*time.Second)
	})
}

// A frame that trickles in must not restart the timer.
func TestServeIdleTimeoutCountsWholeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		s, _ := b.dial("client", echo)
		b.send(s, varint.ToUvarint(10_000)...)
		for range 59 {
			time.Sleep(time.Second)
			b.send(s, make([]byte, 100)...)
		}
		b.expectReset(s, network.StreamGarbageCollected, time.Second)
	})
}

func TestServePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		s, _ := b.dial("client", func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
			return append(out, frame...), 3 * time.Second, nil
		})
		b.send(s, frameOf([]byte("a"))...)
		b.expect(s, "a")
		start := time.Now()
		b.send(s, frameOf([]byte("b"))...)
		b.expect(s, "b")
		if waited := time.Since(start); waited != 3*time.Second {
			t.Errorf("the next frame was read after %v, want 3s", waited)
		}
		b.server.stop("") // in the middle of the pause
		b.expectReset(s, network.StreamShutdown, 0)
		b.server.wait()
	})
}

// A stream whose peer leaves ends at once, whatever its pause, and counts for nobody.
func TestDisconnectEndsPauses(t *testing.T) {
	overBoth(t, func(t *testing.T, listen string) {
		a, b := newGreedyHost(t, listen), newNode(t, listen, Config{})
		ended := make(chan struct{})
		b.server.start()
		b.h.SetStreamHandler(testProtocol, func(s network.Stream) {
			b.server.serve(s, func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
				return append(out, frame...), time.Hour, nil
			})
			close(ended)
		})
		if err := a.Connect(testContext(t), b.info()); err != nil {
			t.Fatal(err)
		}
		echoing(t, a, b)
		if err := a.Network().ClosePeer(b.ID()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-testContext(t).Done():
			t.Fatal("still paused")
		}
		if got := b.Stats(); got.Refused != (Refusals{}) || got.Streams != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// The streams of a peer's other connections go on.
func TestDropIsOfOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		pausing := func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
			return append(out, frame...), 30 * time.Second, nil
		}
		gone, served := b.dial("client", pausing)
		other, _ := b.dial("client", pausing)
		for _, s := range []*memStream{gone, other} {
			b.send(s, frameOf([]byte("a"))...)
			b.expect(s, "a")
			b.send(s, frameOf([]byte("b"))...)
		}
		b.server.drop(served.Conn())
		b.server.drop(served.Conn()) // told twice
		b.expectReset(gone, network.StreamNoError, 0)
		b.expect(other, "b")
		b.server.stop("")
		b.server.wait()
	})
}

func TestServePauseDoesNotShortenIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		s, _ := b.dial("client", func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
			return append(out, frame...), 5 * time.Second, nil
		})
		b.send(s, frameOf([]byte("a"))...)
		b.expect(s, "a")
		b.expectReset(s, network.StreamGarbageCollected, 65*time.Second)
	})
}

func TestServeWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		s, _ := b.dial("client", func(_ Sender, _, _ []byte) ([]byte, time.Duration, error) {
			return make([]byte, 2*memWindow), 0, nil
		})
		b.send(s, frameOf([]byte("much"))...)
		synctest.Wait()
		start := time.Now()
		waitReset(s)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("gave up after %v, want 10s", took)
		}
	})
}

func TestServeStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		idle, _ := b.dial("one", echo)
		begun, _ := b.dial("two", echo)
		b.send(begun, 100, 1, 2)
		blocked, _ := b.dial("three", func(_ Sender, _, _ []byte) ([]byte, time.Duration, error) {
			return make([]byte, 2*memWindow), 0, nil
		})
		b.send(blocked, frameOf([]byte("much"))...)
		handling := make(chan struct{})
		handled, _ := b.dial("four", func(_ Sender, frame, out []byte) ([]byte, time.Duration, error) {
			<-handling
			return append(out, frame...), 0, nil
		})
		b.send(handled, frameOf([]byte("slow"))...)
		synctest.Wait()
		b.server.stop("")
		b.expectReset(idle, network.StreamShutdown, 0)
		b.expectReset(begun, network.StreamShutdown, 0)
		waitReset(blocked)
		close(handling)
		b.expectReset(handled, network.StreamShutdown, 0)
		b.server.wait()

		late, _ := b.dial("five", echo)
		b.expectReset(late, network.StreamShutdown, 0)
		b.server.start()
		again, _ := b.dial("one", echo)
		b.send(again, frameOf([]byte("back"))...)
		b.expect(again, "back")
		b.server.stop("/other/1")
		b.send(again, frameOf([]byte("untouched"))...)
		b.expect(again, "untouched")
		b.server.stop("/t/1")
		b.expectReset(again, network.StreamShutdown, 0)
		b.server.wait()
		if b.server.count != 0 || len(b.server.peers) != 0 {
			t.Errorf("%d streams of %d peers left over", b.server.count, len(b.server.peers))
		}
	})
}

// waitReset waits for a reset without reading, which would make room for more.
func waitReset(s *memStream) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	for s.in.broken == nil {
		s.in.moved.Wait()
	}
}

func TestServeRefusesWhatIsNotBooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		c, served := memPair(t, "client", "server")
		served.scope.max = 39_999
		go b.server.serve(served, echo)
		b.send(c, frameOf(make([]byte, 20_000))...)
		b.expectReset(c, network.StreamResourceLimitExceeded, 0) // frame and answer together
		b.server.wait()
	})
}

func TestServeUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.MaxInbound = 10 })
		var streams []*memStream
		for i := range 9 {
			s, _ := b.dial(peer.ID(fmt.Sprint("quiet", i)), echo)
			streams = append(streams, s)
			synctest.Wait()
		}
		if !b.server.pressed.Load() {
			t.Fatal("9 of 10 streams are no pressure")
		}
		first, _ := b.dial("newcomer", echo)
		b.expectReset(first, network.StreamGarbageCollected, 10*time.Second) // no first byte
		begun, _ := b.dial("newcomer", echo)
		b.send(begun, frameOf([]byte("hello"))...)
		b.expect(begun, "hello")
		b.send(begun, varint.ToUvarint(2<<10)...)
		b.send(begun, make([]byte, 1<<10)...)
		b.expectReset(begun, network.StreamGarbageCollected, 7*time.Second) // a stalled frame of 2 KiB
		silent, _ := b.dial("newcomer", echo)
		b.send(silent, frameOf([]byte("hello"))...)
		b.expect(silent, "hello")
		b.expectReset(silent, network.StreamGarbageCollected, 30*time.Second)
		for _, s := range streams {
			s.Reset()
		}
		b.server.wait()
		if b.server.pressed.Load() {
			t.Error("pressure without streams")
		}
	})
}

func TestResetCodes(t *testing.T) {
	for err, want := range map[error]network.StreamErrorCode{
		errFull:                                 network.StreamResourceLimitExceeded,
		errBuffered:                             network.StreamResourceLimitExceeded,
		errStopped:                              network.StreamShutdown,
		errGaveWay:                              network.StreamGarbageCollected,
		os.ErrDeadlineExceeded:                  network.StreamGarbageCollected,
		ErrFrameTooLarge:                        network.StreamProtocolViolation,
		errors.Join(ErrFramePrefix, io.EOF):     network.StreamProtocolViolation,
		network.ErrReset:                        network.StreamNoError,
		fmt.Errorf("x: %w", codedError(0x1003)): network.StreamRateLimited,
	} {
		if got := resetCode(err); got != want {
			t.Errorf("%v: code %#x, want %#x", err, got, want)
		}
	}
}

func TestRemoteIP(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/192.0.2.7/tcp/4001":             "192.0.2.7",
		"/ip6/2001:db8::1/udp/4001/quic-v1":   "2001:db8::1",
		"/ip6/::ffff:192.0.2.7/tcp/1":         "192.0.2.7",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1":     "fe80::1",
		"/dns4/example.org/tcp/1":             "invalid IP",
		"/ip4/192.0.2.7/tcp/4001/p2p-circuit": "invalid IP",
		"/memory/1":                           "invalid IP",
	} {
		if got := remoteIP(multiaddr.StringCast(addr)); got.String() != want {
			t.Errorf("%s: %v, want %s", addr, got, want)
		}
	}
	if remoteIP(nil).IsValid() {
		t.Error("no address has an IP")
	}
}
