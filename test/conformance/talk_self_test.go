package conformance

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// The requester is tried here against a server whose every act is known.

// freshKey makes a key that nobody else has.
func freshKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pair are two connected hosts on loopback.
func pair(t *testing.T, transport string) (asker, server host.Host) {
	t.Helper()
	hosts := make([]host.Host, 2)
	for i := range hosts {
		h, err := newHost(transport, freshKey(t), i == 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		hosts[i] = h
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := dial(ctx, hosts[0], hosts[1]); err != nil {
		t.Fatal(err)
	}
	return hosts[0], hosts[1]
}

// TestTalkHearsEveryEnd: what a server does is heard as what it was.
func TestTalkHearsEveryEnd(t *testing.T) {
	answer := frame{2, 'o', 'k'}
	read := func(s network.Stream) { _, _ = s.Read(make([]byte, 64)) }
	write := func(s network.Stream, b ...byte) { _, _ = s.Write(b) }
	acts := map[string]struct {
		act  func(network.Stream)
		want []string
	}{
		"answers, closes": {func(s network.Stream) { read(s); write(s, answer...); _ = s.Close() }, []string{"frame 026f6b", eof}},
		"resets":          {func(s network.Stream) { read(s); _ = s.Reset() }, []string{reset}},
		"resets, code":    {func(s network.Stream) { read(s); _ = s.ResetWithError(network.StreamRateLimited) }, []string{reset}},
		"closes":          {func(s network.Stream) { read(s); _ = s.Close() }, []string{eof}},
		"cuts a frame":    {func(s network.Stream) { read(s); write(s, 2, 'o'); _ = s.Close() }, []string{"the stream was closed inside a frame"}},
		"cuts a length":   {func(s network.Stream) { read(s); write(s, 0x82); _ = s.Close() }, []string{"the stream was closed inside a frame"}},
		"in pieces":       {func(s network.Stream) { read(s); write(s, 2); write(s, 'o'); write(s, 'k'); _ = s.Close() }, []string{"frame 026f6b", eof}},
		"keeps silent":    {func(s network.Stream) { read(s); read(s) }, []string{noAnswer}},
		"leaves":          {func(s network.Stream) { read(s); _ = s.Conn().Close() }, []string{"connection lost"}},
	}
	for _, transport := range transports {
		for name, c := range acts {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				asker, server := pair(t, transport)
				server.SetStreamHandler("/t", c.act)
				talk := mustOpen(t, asker, server, "/t")
				talk.write(answer, 1)
				for _, want := range c.want {
					wait := patience
					if want == noAnswer {
						wait = 300 * time.Millisecond
					}
					if got := talk.next(wait).String(); !strings.HasPrefix(got, want) {
						t.Errorf("heard %q, want %q", got, want)
					}
				}
			})
		}
		t.Run(transport+"/refuses", func(t *testing.T) {
			t.Parallel()
			asker, server := pair(t, transport)
			if got := mustOpen(t, asker, server, "/t").next(patience).String(); got != refused {
				t.Errorf("heard %q, want %q", got, refused)
			}
		})
	}
}

func mustOpen(t *testing.T, asker, server host.Host, id protocol.ID) *talk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	talk, err := open(ctx, asker, server.ID(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = talk.stream.Reset() })
	return talk
}

// echoing answers every frame with itself; a frame "x" resets the stream and a
// frame "q" is not answered.
func echoing(s network.Stream) {
	buf := make([]byte, 0, 1<<16)
	one := make([]byte, 1<<16)
	for {
		n, err := s.Read(one)
		buf = append(buf, one[:n]...)
		for len(buf) > 0 && len(buf) > int(buf[0]) {
			f := buf[:1+int(buf[0])]
			buf = buf[len(f):]
			switch {
			case bytes.Equal(f, frame{1, 'x'}):
				_ = s.Reset()
				return
			case !bytes.Equal(f, frame{1, 'q'}):
				_, _ = s.Write(f)
			}
		}
		if err != nil {
			_ = s.Close()
			return
		}
	}
}

// TestScriptsArePlayed: the rules of a replay, each with a script that must
// pass and one that must not.
func TestScriptsArePlayed(t *testing.T) {
	a, b, x, q := frame{1, 'a'}, frame{1, 'b'}, frame{1, 'x'}, frame{1, 'q'}
	is := func(f frame) item { return item{frame: f} }
	ends := func(e string) item { return item{event: e} }
	cases := map[string]struct {
		script script
		fails  string // "" must pass
	}{
		"answered":                 {script{frames: []frame{a, b}, expect: []item{is(a), is(b)}}, ""},
		"byte by byte":             {script{frames: []frame{a, b}, chunkBytes: 1, expect: []item{is(a), is(b)}}, ""},
		"other answer":             {script{frames: []frame{a, b}, expect: []item{is(a), is(a)}}, "item 2"},
		"also fine":                {script{frames: []frame{a}, expect: []item{is(b)}, alsoFine: [][]item{{ends(reset)}, {is(a)}}}, ""},
		"not even also fine":       {script{frames: []frame{a}, expect: []item{is(b)}, alsoFine: [][]item{{ends(reset)}}}, "item 1"},
		"reset":                    {script{frames: []frame{a, x}, expect: []item{is(a), ends(reset)}}, ""},
		"reset too early":          {script{frames: []frame{x, a}, expect: []item{is(x), is(a)}}, "item 1"},
		"nothing said":             {script{halfClose: true, expect: []item{ends(eof)}}, ""},
		"half-closed":              {script{frames: []frame{a}, halfClose: true, expect: []item{is(a), ends(eof)}}, ""},
		"half-closed, no end":      {script{frames: []frame{a}, halfClose: true, expect: []item{is(a), ends(reset)}}, "item 2"},
		"pipelined":                {script{frames: []frame{a, q, b}, pipelined: true, expect: []item{is(a), is(b)}}, ""},
		"pipelined, half-closed":   {script{frames: []frame{a, b}, pipelined: true, halfClose: true, expect: []item{is(a), is(b), ends(eof)}}, ""},
		"pipelined, one too many":  {script{frames: []frame{a, b, a}, pipelined: true, expect: []item{is(a), is(b)}}, "must be open and silent"},
		"no answer":                {script{frames: []frame{q, a}, expect: []item{ends(noAnswer), is(a)}}, ""},
		"an answer where none is":  {script{frames: []frame{a, b}, expect: []item{ends(noAnswer), is(b)}}, "item 1"},
		"half a frame":             {script{frames: []frame{{9, 'a'}}, expect: []item{ends(noAnswer)}}, ""},
		"paused":                   {script{frames: []frame{a, b}, pauseMs: []int{0, 400}, expect: []item{is(a), is(b)}}, ""},
		"reset after a time":       {script{frames: []frame{x}, wait: patience, expect: []item{{timed: &timedEnd{reset, 0, 10000}}}}, ""},
		"reset before its time":    {script{frames: []frame{x}, wait: patience, expect: []item{{timed: &timedEnd{reset, 5000, 10000}}}}, "ms, want"},
		"silence instead of reset": {script{frames: []frame{q}, wait: time.Second, expect: []item{{timed: &timedEnd{reset, 0, 10000}}}}, "item 1"},
	}
	for _, transport := range transports {
		for name, c := range cases {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				asker, server := pair(t, transport)
				server.SetStreamHandler("/t", echoing)
				start := time.Now()
				err := c.script.run(t.Context(), mustOpen(t, asker, server, "/t"), judge{requests: c.script.frames})
				if got := fmt.Sprint(err); c.fails == "" && err != nil || c.fails != "" && !strings.Contains(got, c.fails) {
					t.Errorf("replay: %v, want %q", err, c.fails)
				}
				if name == "paused" && time.Since(start) < 400*time.Millisecond {
					t.Error("the pause of 400 ms was not made")
				}
			})
		}
	}
}

// TestWholeFrames: only after whole frames may one more request be asked.
func TestWholeFrames(t *testing.T) {
	for _, c := range []struct {
		bytes frame
		want  bool
	}{
		{nil, true},
		{frame{0}, true},
		{frame{1, 'a', 0}, true},
		{frame{1}, false},
		{frame{1, 'a', 2, 'b'}, false},
		{frame{0x80}, false},
	} {
		if got := wholeFrames(c.bytes); got != c.want {
			t.Errorf("wholeFrames(%x) = %v, want %v", c.bytes, got, c.want)
		}
	}
}
