package host

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// TestStatsCountByReason: every way in which a stream can end is counted once,
// under its own name.
func TestStatsCountByReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.MaxInboundPerPeer, c.MaxBuffered = 2, 64<<10 })
		e := &Endpoint{server: b.server}
		var want Stats
		expect := func(what string) {
			t.Helper()
			synctest.Wait()
			got := e.Stats()
			got.Streams, got.Buffered, got.Pressed = 0, 0, false
			if want.Accepted++; got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
				want = got
			}
		}
		fail := errors.New("no")
		refuse := func(Sender, []byte, []byte) ([]byte, time.Duration, error) { return nil, 0, fail }

		c, _ := b.dial("peaceful", echo)
		_ = c.CloseWrite()
		want.Ended++
		expect("closed in peace")

		c, _ = b.dial("resetting", echo)
		_ = c.Reset()
		expect("reset by its peer")

		c, _ = b.dial("refused", refuse)
		b.send(c, frameOf([]byte("x"))...)
		want.Refused.Handler++
		expect("refused by the handler")

		c, _ = b.dial("garbling", echo)
		b.send(c, bytes.Repeat([]byte{0xff}, 12)...)
		want.Refused.Violations++
		expect("a bad length")

		c, _ = b.dial("cut", echo)
		b.send(c, 5, 'a')
		_ = c.CloseWrite()
		want.Refused.Violations++
		expect("a frame cut short")

		c, _ = b.dial("large", echo)
		b.send(c, append(frameOf(make([]byte, 128<<10))[:3], make([]byte, 70<<10)...)...)
		want.Refused.Buffers++
		expect("more than may be held")

		b.dial("silent", echo)
		time.Sleep(61 * time.Second)
		want.Refused.Silent++
		expect("silent for a minute")

		b.dial("greedy", echo)
		synctest.Wait()
		want.Accepted++
		b.dial("greedy", echo)
		synctest.Wait()
		want.Accepted++
		b.dial("greedy", echo)
		want.Refused.GaveWay++
		expect("one more than a peer may have")

		hold := make(chan struct{})
		busyHandler := func(Sender, []byte, []byte) ([]byte, time.Duration, error) { <-hold; return nil, 0, nil }
		for range 2 {
			c, _ = b.dial("busy", busyHandler)
			b.send(c, frameOf([]byte("x"))...)
			synctest.Wait()
			want.Accepted++
		}
		b.dial("busy", busyHandler)
		want.Refused.Full++
		want.Accepted-- // expect counts one that is let in
		expect("one more than a peer may have, all of them busy")
		if s := e.Stats(); s.Streams != 4 {
			t.Errorf("%d streams are served, want 4", s.Streams)
		}
		close(hold)

		b.dial("last", echo)
		synctest.Wait()
		b.server.stop("")
		expect("the end of serving")
		if err := b.server.wait(); err != nil {
			t.Error(err)
		}
		var o outcomes
		o.note(network.ErrResourceLimitExceeded)
		if o.resources.Load() != 1 {
			t.Error("what the resource manager refuses is not counted")
		}
	})
}
