package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"github.com/kdht/kdht/protocol"
)

// TestClientWhateverPeersDo drives the client against peers that answer with a
// random sequence of right, wrong, stray and broken frames, ends and silence.
// Whatever comes: the call ends by its deadline, the error is of exactly one
// class, success means a matching answer, at most two requests were written, three of
// an announcement, and no stream and no permit is lost.
func TestClientWhateverPeersDo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		used := rapid.Bool().Draw(rt, "used")
		scripts := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 10), 0, 12), 3, 3).Draw(rt, "scripts")
		req := rapid.SampledFrom([]*protocol.Message{
			find("k"), get("k"), put("k", "v"), provide("k"), {Type: protocol.Ping}, {Type: protocol.GetProviders, Key: []byte("k")},
		}).Draw(rt, "request")
		cancelAt := rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, time.Hour}).Draw(rt, "cancel after")
		synctest.Test(t, func(t *testing.T) {
			runScripts(rt, used, scripts, req, cancelAt)
		})
	})
}

func runScripts(rt *rapid.T, used bool, scripts [][]int, req *protocol.Message, cancelAt time.Duration) {
	try, most := 0, 2
	if req.Type == protocol.AddProvider {
		most = 3
	}
	peers := &fakePeers{used: used, request: func(s *fakeStream, _ []byte) {
		if try >= most {
			rt.Fatalf("more than %d requests were written", most)
		}
		for _, event := range scripts[try] {
			play(s, event, req)
		}
		try++
	}}
	c := NewClient(protocol.Protobuf, peers, ClientConfig{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if cancelAt == 0 {
		cancel()
	}
	defer time.AfterFunc(cancelAt, cancel).Stop()
	start := time.Now()
	var resp protocol.Message
	var err error
	if req.Type == protocol.AddProvider {
		err = c.Send(ctx, "p", req)
	} else if err = c.RoundTrip(ctx, "p", req, &resp); err == nil {
		checkMatch(rt, req, &resp)
	}
	classes := 0
	for _, o := range append(outcomes[:len(outcomes):len(outcomes)], context.Canceled) {
		if errors.Is(err, o) {
			classes++
		}
	}
	if err != nil && classes != 1 {
		rt.Fatalf("%v is of %d classes", err, classes)
	}
	if took := time.Since(start); took > min(10*time.Second, cancelAt) {
		rt.Fatalf("took %v", took)
	}
	synctest.Wait()
	_, live, released, _, _ := peers.counts()
	if released > 0 {
		sent := slices.DeleteFunc(slices.Clone(scripts[try-1]), func(event int) bool { return event == 8 || event == 9 })
		if sent[0] > 1 && sent[0] != 6 { // 6 is an answer to GET_VALUE
			rt.Fatalf("after %v a stream is used again on which something else came before the answer to %v", scripts[try-1], req.Type)
		}
	}
	if live != 0 || len(c.budget.peers) != 0 || c.budget.total.free != 1024 {
		rt.Fatalf("%d streams live, %d peers in the budget, %d permits free", live, len(c.budget.peers), c.budget.total.free)
	}
}

// checkMatch says once more, and in other words than match, what an answer is.
func checkMatch(rt *rapid.T, req, resp *protocol.Message) {
	sameKey := len(resp.Key) == 0 || bytes.Equal(resp.Key, req.Key)
	sameRecord := !resp.HasRecord || len(resp.Record.Key) == 0 && req.Type == protocol.PutValue || bytes.Equal(resp.Record.Key, req.Key)
	stored := req.Type != protocol.PutValue || resp.HasRecord && bytes.Equal(resp.Record.Value, req.Record.Value)
	if resp.Type != req.Type || !sameKey || !sameRecord || !stored {
		rt.Fatalf("%+v is taken for the answer to %+v", resp, req)
	}
}

// play makes one thing happen on the peer's side.
func play(s *fakeStream, event int, req *protocol.Message) {
	switch event {
	case 0:
		s.send(framed(req)...)
	case 1:
		s.send(framed(&protocol.Message{Type: req.Type})...)
	case 2:
		s.send(framed(provide("old"))...)
	case 3:
		s.send(framed(get("old"))...)
	case 4:
		s.send(framed(put("k", "w"))...)
	case 5:
		s.send(3, 0xff, 0xff, 0xff)
	case 6:
		s.send(0x82, 0x00, 8, 1)
	case 7:
		s.send(200)
	case 8:
		s.finish(io.EOF)
	case 9:
		s.finish(errRemoteReset)
	case 10:
		s.send(framed(&protocol.Message{Type: protocol.AddProvider})...)
	}
}

// TestClientManyAtOnce is for the race detector, and checks that under load,
// failures and cancellation every permit and stream comes back.
func TestClientManyAtOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	peers := &fakePeers{}
	peers.request = func(s *fakeStream, frame []byte) {
		switch frame[len(frame)-1] { // the level
		case 1:
			s.finish(io.EOF)
		case 2:
			s.send(2, 0xff, 0xff)
		default:
			answerWith(echo)(s, frame)
		}
	}
	c := NewClient(protocol.Protobuf, peers, ClientConfig{MaxPerPeer: 2, MaxInFlight: 5})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(g)))
			for i := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if rng.IntN(4) == 0 {
					go cancel()
				}
				req := find(fmt.Sprint("key ", g, " ", i))
				req.ClusterLevel = 1 + rng.Int32N(8)
				to := peer.ID(fmt.Sprint(rng.IntN(4)))
				err := c.RoundTrip(ctx, to, req, new(protocol.Message))
				if err != nil && !errors.Is(err, context.Canceled) && (outcomeOf(err) == nil || req.ClusterLevel > 2) {
					t.Errorf("level %d: %v", req.ClusterLevel, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if peers.maxLive > 5 {
		t.Errorf("%d streams at once", peers.maxLive)
	}
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	if len(c.budget.peers) != 0 || c.budget.total.free != 5 {
		t.Errorf("%d peers in the budget, %d permits free", len(c.budget.peers), c.budget.total.free)
	}
}
