package hostile

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"time"

	"github.com/kdht/kdht/test/hostile/raw"
)

// batch is how many requests are written at a time: about 3 KiB.
const batch = 64

// flood sends FIND_NODE at the speed of the connection; a stream that is reset is
// opened again.
func flood(peers, streams int) func(context.Context, *Assault, time.Duration) error {
	return func(_ context.Context, s *Assault, long time.Duration) error {
		hosts, err := s.attackers(peers)
		if err != nil {
			return err
		}
		ctx := s.begin(long)
		s.each(ctx, hosts, streams, func(ctx context.Context, h *raw.Host, i int) error {
			stream, err := s.open(ctx, h)
			if err != nil {
				return err
			}
			rng := s.rng(i)
			return s.pour(ctx, stream, func() []byte { return findNodes(rng) }, batch)
		})
		return ctx.Err()
	}
}

// load is honest in kind and large in number: every peer stays within its limits,
// and comes back after a second when its connection is ended.
func load(peers int) func(context.Context, *Assault, time.Duration) error {
	const perTick, tick = 9, 20 * time.Millisecond
	return func(_ context.Context, s *Assault, long time.Duration) error {
		hosts, err := s.attackers(peers)
		if err != nil {
			return err
		}
		ctx := s.begin(long)
		s.each(ctx, hosts, 1, func(ctx context.Context, h *raw.Host, i int) error {
			stream, err := s.open(ctx, h)
			if err != nil {
				pause(ctx, time.Second)
				return err
			}
			defer pause(ctx, time.Second)
			ticks := time.NewTicker(tick)
			defer ticks.Stop()
			rng := s.rng(i)
			return s.pour(ctx, stream, func() (frames []byte) {
				<-ticks.C
				for range perTick {
					frames = append(frames, raw.Message{Type: raw.FindNode, Key: raw.Bytes(rng, 32)}.Frame()...)
				}
				return frames
			}, perTick)
		})
		return ctx.Err()
	}
}

// overload asks so many times a second in all, whatever becomes of it: of 384
// streams one after the other sends a request when it is time, and one that was
// ended is opened again.
func overload(perSecond int) func(context.Context, *Assault, time.Duration) error {
	const peers, streams = 48, 8
	every := time.Second * peers * streams / time.Duration(perSecond)
	return func(_ context.Context, s *Assault, long time.Duration) error {
		hosts, err := s.attackers(peers)
		if err != nil {
			return err
		}
		for _, h := range hosts {
			if err := h.Connect(context.Background(), s.AddrInfo); err != nil {
				return err
			}
		}
		ctx := s.begin(long)
		began := time.Now()
		s.each(ctx, hosts, streams, func(ctx context.Context, h *raw.Host, i int) error {
			stream, err := s.open(ctx, h)
			if err != nil {
				return err
			}
			rng := s.rng(i)
			offset := every * time.Duration(i) / (peers * streams)
			return s.pour(ctx, stream, func() []byte {
				gone := time.Since(began)
				pause(ctx, offset+every*(max(0, (gone-offset)/every)+1)-gone)
				return raw.Message{Type: raw.FindNode, Key: raw.Bytes(rng, 32)}.Frame()
			}, 1)
		})
		return ctx.Err()
	}
}

// findNodes is a batch of requests for random keys.
func findNodes(rng *rand.Rand) (frames []byte) {
	for range batch {
		frames = append(frames, raw.Message{Type: raw.FindNode, Key: raw.Bytes(rng, 32)}.Frame()...)
	}
	return frames
}

// pour writes what next returns until the stream or ctx ends, while answers are
// read and counted.
func (s *Assault) pour(ctx context.Context, stream *raw.Stream, next func() []byte, frames int) error {
	stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
	defer stop()
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.drain(stream)
	}()
	written := s.counts.of("requests written")
	for {
		b := next()
		err := ctx.Err()
		if err == nil {
			_, err = stream.Write(b)
		}
		if err != nil {
			_ = stream.Reset()
			<-read
			if ctx.Err() == nil {
				s.counts.of("streams reset").Add(1)
			}
			return err
		}
		written.Add(int64(frames))
	}
}

// drain reads and counts answers until the stream ends.
func (s *Assault) drain(stream *raw.Stream) {
	answered, bytes := s.counts.of("answers"), s.counts.of("answer bytes")
	for {
		n, err := stream.SkipFrame()
		if err != nil {
			return
		}
		answered.Add(1)
		bytes.Add(int64(n))
		s.counts.most("largest answer", int64(n))
	}
}

// bigPing sends PINGs of 1 MiB; the answers are echoes.
func bigPing(reading bool) func(context.Context, *Assault, time.Duration) error {
	const size = 1 << 20
	return func(_ context.Context, s *Assault, long time.Duration) error {
		hosts, err := s.attackers(4)
		if err != nil {
			return err
		}
		frame := raw.Message{Type: raw.Ping, Key: make([]byte, size)}.Frame()
		s.counts.of("request size").Store(int64(len(frame) - 3))
		ctx := s.begin(long)
		s.each(ctx, hosts, 8, func(ctx context.Context, h *raw.Host, _ int) error {
			stream, err := s.open(ctx, h)
			if err != nil {
				return err
			}
			if reading {
				return s.pour(ctx, stream, func() []byte { return frame }, 1)
			}
			return s.deaf(ctx, stream, frame)
		})
		return ctx.Err()
	}
}

// deaf writes until nothing more goes in, never reads an answer, and keeps the
// stream until it is ended by the other side.
func (s *Assault) deaf(ctx context.Context, stream *raw.Stream, frame []byte) error {
	stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
	defer stop()
	defer func() { _ = stream.Reset() }()
	for {
		n, err := stream.Write(frame)
		s.counts.of("bytes written").Add(int64(n))
		if err != nil {
			return err
		}
		s.counts.of("requests written").Add(1)
	}
}

// amplification has one key announced by many providers with many addresses, and
// asks for them at the speed of the connection.
func amplification(_ context.Context, s *Assault, long time.Duration) error {
	const providers, addrs = 100, 24
	hosts, err := s.attackers(providers)
	if err != nil {
		return err
	}
	key := crowdKey(s)
	setup, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for i, h := range hosts {
		if err := s.announce(setup, h, key, manyAddrs(i, addrs)); err != nil {
			return err
		}
	}
	s.sample(setup, hosts[0], key)
	ctx := s.begin(long)
	ask := raw.Message{Type: raw.GetProviders, Key: key}.Frame()
	asks := bytes.Repeat(ask, batch)
	s.counts.of("request size").Store(int64(len(ask)))
	s.each(ctx, hosts[:1], 8, func(ctx context.Context, h *raw.Host, _ int) error {
		stream, err := s.open(ctx, h)
		if err != nil {
			return err
		}
		return s.pour(ctx, stream, func() []byte { return asks }, batch)
	})
	return ctx.Err()
}

// sample asks twice for the providers of a key and counts what is in the answers.
func (s *Assault) sample(ctx context.Context, h *raw.Host, key []byte) {
	seen := make(map[string]bool)
	for range 2 {
		stream, err := s.open(ctx, h)
		if err != nil {
			return
		}
		answer, err := stream.Ask(raw.Message{Type: raw.GetProviders, Key: key}.Frame())
		_ = stream.Reset()
		if err != nil {
			return
		}
		s.counts.most("providers in an answer", int64(len(answer.Providers)))
		for _, p := range answer.Providers {
			s.counts.most("addresses of a provider", int64(len(p.Addrs)))
			seen[string(p.ID)] = true
		}
	}
	s.counts.of("providers in two answers").Store(int64(len(seen)))
}

// acknowledged sends frames and a PING behind them and waits for its answer: then
// what has no answer has been handled. It tells whether it was.
func acknowledged(stream *raw.Stream, frames []byte) error {
	if _, err := stream.Write(append(frames, raw.Message{Type: raw.Ping}.Frame()...)); err != nil {
		return err
	}
	for {
		b, err := stream.ReadFrame()
		if err == io.EOF {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if a, err := raw.Parse(b); err != nil || a.Type == raw.Ping {
			return err
		}
	}
}
