package hostile

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kdht/kdht/test/hostile/raw"
)

// sound are requests that the target answers or takes, one of each type.
func sound(s *Assault, self []byte) [][]byte {
	rng := s.rng(1 << 20)
	key, value := immutable(rng, 64)
	provider := raw.Peer{ID: self, Addrs: [][]byte{addrBytes("/ip4/127.0.0.1/tcp/4001")}}
	messages := []raw.Message{
		{Type: raw.Ping},
		{Type: raw.FindNode, Key: raw.Bytes(rng, 38)},
		{Type: raw.PutValue, Key: key, Value: value},
		{Type: raw.GetValue, Key: key},
		{Type: raw.AddProvider, Key: multihash(rng), Providers: []raw.Peer{provider}},
		{Type: raw.GetProviders, Key: multihash(rng)},
	}
	frames := make([][]byte, len(messages))
	for i, m := range messages {
		frames[i] = m.Frame()
	}
	return frames
}

// prefixes are length prefixes that no frame may have, or whose frame never comes.
var prefixes = [][]byte{
	binary.AppendUvarint(nil, 4<<20+1),
	binary.AppendUvarint(nil, 1<<31),
	binary.AppendUvarint(nil, 1<<32),
	binary.AppendUvarint(nil, 1<<32+5),
	binary.AppendUvarint(nil, 1<<63-1),
	binary.AppendUvarint(nil, 1<<63),
	{0x80, 0x00},
	{0x81, 0x80, 0x00},
	bytes.Repeat([]byte{0xff}, 11),
	{0x00}, // an empty message is a PUT_VALUE without key
}

// ending is how long an attack waits for the end of a stream that must be ended.
const ending = 10 * time.Second

// malformed sends every request cut at every byte, its end half-closed, and every
// bad prefix with the end left open. The target must end each stream.
func malformed(_ context.Context, s *Assault, long time.Duration) error {
	hosts, err := s.attackers(4)
	if err != nil {
		return err
	}
	type piece struct {
		bytes  []byte
		closed bool
	}
	var pieces []piece
	for _, p := range prefixes {
		pieces = append(pieces, piece{p, false})
	}
	for _, frame := range sound(s, []byte(hosts[0].ID())) {
		for cut := 1; cut < len(frame); cut++ {
			pieces = append(pieces, piece{frame[:cut], true})
		}
	}
	ctx := s.begin(long)
	slots := make(chan struct{}, 16)
	var group sync.WaitGroup
	for i, p := range pieces {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			s.breakOff(ctx, hosts[i%len(hosts)], p.bytes, p.closed)
		})
	}
	group.Wait()
	s.counts.of("all pieces").Store(int64(len(pieces)))
	return ctx.Err()
}

// breakOff sends a piece of a frame and waits for the stream's end.
func (s *Assault) breakOff(ctx context.Context, h *raw.Host, piece []byte, closed bool) {
	stream, err := s.open(ctx, h)
	if err != nil {
		return
	}
	defer func() { _ = stream.Reset() }()
	if _, err := stream.Write(piece); err != nil {
		return
	}
	if closed {
		_ = stream.CloseWrite()
	}
	began := time.Now()
	if stream.Ends(ending) {
		s.counts.of("pieces ended").Add(1)
		s.counts.most("slowest end, ms", time.Since(began).Milliseconds())
	} else if ctx.Err() == nil {
		s.counts.of("pieces not ended").Add(1)
	}
}

// fuzz sends frames of random bytes and sound requests with random changes.
func fuzz(_ context.Context, s *Assault, long time.Duration) error {
	hosts, err := s.attackers(4)
	if err != nil {
		return err
	}
	seeds := sound(s, []byte(hosts[0].ID()))
	ctx := s.begin(long)
	s.each(ctx, hosts, 2, func(ctx context.Context, h *raw.Host, i int) error {
		rng := s.rng(i<<32 + int(s.counts.of("streams opened").Load()))
		stream, err := s.open(ctx, h)
		if err != nil {
			return err
		}
		return s.pour(ctx, stream, func() []byte { return mutated(rng, seeds) }, 1)
	})
	return ctx.Err()
}

// mutated is a sound frame with a few changes, most with a length that is right,
// or random bytes.
func mutated(rng *rand.Rand, seeds [][]byte) []byte {
	if rng.IntN(8) == 0 {
		return raw.Prefixed(raw.Bytes(rng, rng.IntN(300)))
	}
	frame := seeds[rng.IntN(len(seeds))]
	_, n := binary.Uvarint(frame)
	body := bytes.Clone(frame[n:])
	for range 1 + rng.IntN(4) {
		at := rng.IntN(len(body) + 1)
		switch rng.IntN(4) {
		case 0:
			body = append(body[:at:at], append(raw.Bytes(rng, rng.IntN(9)), body[at:]...)...)
		case 1:
			body = append(body[:at:at], body[min(len(body), at+rng.IntN(5)):]...)
		case 2:
			body = append(body, seeds[rng.IntN(len(seeds))]...)
		default:
			if at < len(body) {
				body[at] ^= byte(1 + rng.IntN(255))
			}
		}
	}
	if rng.IntN(16) == 0 {
		return append(raw.Bytes(rng, 1+rng.IntN(3)), body...)
	}
	return raw.Prefixed(body)
}

// provoke sends what is well-formed and makes no sense: ids and addresses that do
// not parse, types without meaning, numbers at their ends, nests of JSON.
func provoke(_ context.Context, s *Assault, long time.Duration) error {
	hosts, err := s.attackers(2)
	if err != nil {
		return err
	}
	frames := provocations(s, []byte(hosts[0].ID()))
	ctx := s.begin(long)
	slots := make(chan struct{}, 8)
	var group sync.WaitGroup
	for i, f := range frames {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			stream, err := s.open(ctx, hosts[i%len(hosts)])
			if err != nil {
				return
			}
			_, _ = stream.Write(f)
			_ = stream.CloseWrite()
			if !stream.Ends(ending) && ctx.Err() == nil {
				s.counts.of("streams not ended").Add(1)
			}
			_ = stream.Reset()
			s.counts.of("requests written").Add(1)
		})
	}
	group.Wait()
	return ctx.Err()
}
