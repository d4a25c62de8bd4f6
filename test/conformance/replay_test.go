package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"
)

// script is what is written on one stream and what must come back; a step of
// `before` and an exchange are both one.
type script struct {
	frames     []frame
	pauseMs    []int
	chunkBytes int
	pipelined  bool
	halfClose  bool
	wait       time.Duration // for the end of the stream, if one is expected later
	expect     []item
	alsoFine   [][]item
}

func (e *exchange) script() script {
	return script{
		frames: e.Frames, pauseMs: e.PauseMs, chunkBytes: e.ChunkBytes, pipelined: e.Pipelined, halfClose: e.HalfClose,
		wait: time.Duration(e.WaitMs) * time.Millisecond, expect: e.Expect, alsoFine: e.AlsoFine,
	}
}

func (s *step) script() script { return script{frames: s.Frames, expect: s.Expect} }

// stillOpen is what is asked at the end of an exchange after which the stream
// is open: the echo shows that it is, and that no further word was said.
var stillOpen = framed(message{typ: 5, key: []byte("still open?"), level: 1})

// replay plays s on t and returns what came back: an outcome for each frame
// written (for each expected answer, if pipelined), then the end, if one is
// expected or came early.
func (s *script) replay(ctx context.Context, t *talk) []outcome {
	if s.pipelined {
		return s.replayPipelined(t)
	}
	var got []outcome
	for i, f := range s.frames {
		if i < len(s.pauseMs) {
			pause(ctx, time.Duration(s.pauseMs[i])*time.Millisecond)
		}
		t.write(f, s.chunkBytes)
		if s.halfClose && i == len(s.frames)-1 {
			_ = t.stream.CloseWrite() // if it failed the server will not see the end, which is what is judged
		}
		o := t.next(s.waitFor(i))
		got = append(got, o)
		if o.end != "" {
			return got
		}
	}
	if s.halfClose && len(s.frames) == 0 {
		_ = t.stream.CloseWrite()
	}
	for i := len(s.frames); i < len(s.expect); i++ {
		got = append(got, t.next(s.waitFor(i)))
	}
	return got
}

func (s *script) replayPipelined(t *talk) []outcome {
	t.write(bytes.Join(asBytes(s.frames), nil), s.chunkBytes)
	if s.halfClose {
		_ = t.stream.CloseWrite()
	}
	var got []outcome
	for i := range s.expect {
		o := t.next(s.waitFor(i))
		got = append(got, o)
		if o.end != "" {
			break
		}
	}
	return got
}

func asBytes(frames []frame) [][]byte {
	all := make([][]byte, len(frames))
	for i, f := range frames {
		all[i] = f
	}
	return all
}

// waitFor is how long the i-th expected item may take: silence is waited for
// exactly as long as it counts.
func (s *script) waitFor(i int) time.Duration {
	switch {
	case i < len(s.expect) && s.expect[i].event == noAnswer:
		return silence
	case i < len(s.expect) && s.expect[i].timed != nil:
		return s.wait
	default:
		return patience
	}
}

// staysOpen reports whether the stream must be open after the script, with
// nothing half said on it, so that one more request can be asked.
func (s *script) staysOpen(got []outcome) bool {
	if s.halfClose || !wholeFrames(bytes.Join(asBytes(s.frames), nil)) {
		return false
	}
	return len(got) == 0 || got[len(got)-1].end == ""
}

// wholeFrames reports whether b is complete frames and nothing else.
func wholeFrames(b []byte) bool {
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return false
		}
		b = b[n+int(size):]
	}
	return true
}

// run plays s on a new stream and judges what came back.
func (s *script) run(ctx context.Context, t *talk, j judge) error {
	got := s.replay(ctx, t)
	err := j.judge(s.expect, got, t.lastWrite)
	for _, other := range s.alsoFine {
		if err == nil {
			break
		}
		if j.judge(other, got, t.lastWrite) == nil {
			err = nil
		}
	}
	if err != nil || !s.staysOpen(got) {
		return err
	}
	t.write(stillOpen, 0)
	if o := t.next(patience); !bytes.Equal(o.frame, stillOpen) {
		return fmt.Errorf("after the exchange the stream must be open and silent, but a PING on it brought: %v", o)
	}
	return nil
}
