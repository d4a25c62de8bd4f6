package hostile

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/kdht/kdht/test/hostile/raw"
)

// idleStreams opens streams and says nothing; one that is ended is opened again.
func idleStreams(peers, streams int) func(context.Context, *Assault, time.Duration) error {
	return stalled(peers, streams, func(int, []byte) ([]byte, []byte) { return nil, nil })
}

// slowLoris stops in the middle of a frame: of one in three the length is cut, of
// one a small body, of one a large one. One that is ended is opened again after a
// second.
func slowLoris(peers, streams int) func(context.Context, *Assault, time.Duration) error {
	large := binary.AppendUvarint(nil, 100_000)
	return stalled(peers, streams, func(i int, small []byte) ([]byte, []byte) {
		switch i % 3 {
		case 0:
			return []byte{0x80}, nil
		case 1:
			return small[:len(small)/2], nil
		}
		return append(large[:len(large):len(large)], make([]byte, 500)...), nil
	})
}

// claimedLength announces 4 MiB and then sends a KiB each second: 75 streams of
// the first peer and 8 of each of the others.
func claimedLength(ctx context.Context, s *Assault, long time.Duration) error {
	claim := binary.AppendUvarint(nil, 4<<20)
	return stalled(17, 75, func(i int, _ []byte) ([]byte, []byte) {
		if peer, stream := i%17, i/17; peer > 0 && stream >= 8 {
			return nil, nil
		}
		return append(claim[:len(claim):len(claim)], make([]byte, 20<<10)...), make([]byte, 1<<10)
	})(ctx, s, long)
}

// stalled keeps streams open that have sent a beginning and then, each second, a
// little more. begin is told the stream's number and a whole request.
func stalled(peers, streams int, begin func(i int, request []byte) (first, more []byte)) func(context.Context, *Assault, time.Duration) error {
	request := raw.Message{Type: raw.FindNode, Key: make([]byte, 32)}.Frame()
	return func(_ context.Context, s *Assault, long time.Duration) error {
		hosts, err := s.attackers(peers)
		if err != nil {
			return err
		}
		ctx := s.begin(long)
		s.each(ctx, hosts, streams, func(ctx context.Context, h *raw.Host, i int) error {
			first, more := begin(i, request)
			return s.stall(ctx, h, first, more)
		})
		return ctx.Err()
	}
}

// stall is the life of one such stream.
func (s *Assault) stall(ctx context.Context, h *raw.Host, first, more []byte) error {
	stream, err := s.open(ctx, h)
	if err != nil {
		pause(ctx, 200*time.Millisecond)
		return err
	}
	began := time.Now()
	held := s.counts.of("held now")
	s.counts.most("held at most", held.Add(1))
	stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
	defer func() {
		stop()
		_ = stream.Reset()
		held.Add(-1)
		if ctx.Err() == nil {
			s.counts.of("streams ended by the target").Add(1)
			s.counts.most("longest life ended by the target, ms", time.Since(began).Milliseconds())
		}
		if first != nil && more == nil {
			pause(ctx, time.Second) // so that there are 2,048 stalled ones, not as many new ones as can be
		}
	}()
	if _, err := stream.Write(first); err != nil {
		return err
	}
	if more != nil {
		go s.trickle(ctx, stream, more)
	}
	_, err = stream.ReadFrame()
	if err == nil {
		s.counts.of("answers").Add(1)
	}
	return err
}

// trickle writes a little each second, until that fails.
func (s *Assault) trickle(ctx context.Context, stream *raw.Stream, more []byte) {
	for ctx.Err() == nil {
		if _, err := stream.Write(more); err != nil {
			return
		}
		pause(ctx, time.Second)
	}
}

// muteStreams opens streams that do not even say which protocol they want.
func muteStreams(peers, streams int) func(context.Context, *Assault, time.Duration) error {
	return func(_ context.Context, s *Assault, long time.Duration) error {
		hosts, err := s.attackers(peers)
		if err != nil {
			return err
		}
		ctx := s.begin(long)
		s.each(ctx, hosts, streams, func(ctx context.Context, h *raw.Host, _ int) error {
			at, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			stream, err := h.Mute(at, s.AddrInfo)
			if err != nil {
				pause(ctx, 200*time.Millisecond)
				return err
			}
			s.counts.of("streams opened").Add(1)
			held := s.counts.of("held now")
			s.counts.most("held at most", held.Add(1))
			defer held.Add(-1)
			stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
			defer stop()
			_, err = stream.ReadFrame()
			_ = stream.Reset()
			return err
		})
		return ctx.Err()
	}
}
