package host

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// BenchmarkPingPong sends a request of 45 bytes (FIND_NODE's size) and reads an
// answer as long, over loopback, on as many streams at once as it says. Both ends
// share the machine. performance.md §2.2 has the figures to compare with.
func BenchmarkPingPong(b *testing.B) {
	for name, listen := range map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		for _, streams := range []int{1, 16, 32} {
			b.Run(fmt.Sprintf("%s/streams=%d", name, streams), func(b *testing.B) {
				client := newNode(b, listen, Config{MaxStreamsPerPeer: streams})
				server := newNode(b, listen, Config{})
				server.Serve(map[protocol.ID]FrameHandler{testProtocol: echo})
				client.knows(server)
				pingPong(b, client, server, streams)
			})
		}
	}
}

func pingPong(b *testing.B, client, server *node, streams int) {
	request := bytes.Repeat([]byte{1}, 44)
	var wait sync.WaitGroup
	todo := make(chan struct{}, 1024)
	b.ReportAllocs()
	b.ResetTimer()
	for range streams {
		wait.Go(func() {
			for range todo {
				s, err := client.Open(b.Context(), server.ID(), false)
				if err != nil {
					b.Error(err)
					return
				}
				_ = s.SetDeadline(time.Now().Add(10 * time.Second))
				if err := s.WriteFrame(request); err != nil {
					b.Error(err)
					return
				}
				if _, err := s.ReadFrame(); err != nil {
					b.Error(err)
					return
				}
				s.Release()
			}
		})
	}
	for range b.N {
		todo <- struct{}{}
	}
	close(todo)
	wait.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkServe is the cost of a served request without any network.
func BenchmarkServe(b *testing.B) {
	for _, size := range []int{44, 200, 2000} {
		b.Run(fmt.Sprintf("request=%d", size), func(b *testing.B) {
			cfg, _ := Config{Protocol: "/t/1"}.withDefaults()
			v := newServer(cfg)
			v.start()
			_, served := memPair(b, "client", "server")
			src := &replay{memStream: served, frame: frameOf(make([]byte, size)), left: b.N}
			b.ReportAllocs()
			b.ResetTimer()
			v.serve(src, func(_ Sender, _, out []byte) ([]byte, time.Duration, error) {
				return out[:2000], 0, nil
			})
		})
	}
}

// replay is a stream that delivers one frame again and again.
type replay struct {
	*memStream
	frame []byte
	pos   int
	left  int
}

func (r *replay) Read(b []byte) (int, error) {
	if r.pos == len(r.frame) {
		r.pos = 0
		r.left--
	}
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := copy(b, r.frame[r.pos:])
	r.pos += n
	return n, nil
}

func (r *replay) Write(b []byte) (int, error)        { return len(b), nil }
func (r *replay) SetReadDeadline(t time.Time) error  { return nil }
func (r *replay) SetWriteDeadline(t time.Time) error { return nil }
