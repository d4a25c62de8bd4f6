package rpc

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/multiformats/go-varint"

	"github.com/kdht/kdht/protocol"
)

// FuzzServe: whatever bytes arrive, no panic (not even a recovered one), and every
// answer can be read and is within its bounds: an echo within its request, any
// other within protocol.MaxAnswer and the record it carries.
func FuzzServe(f *testing.F) {
	for _, b := range recordedBodies(f) {
		f.Add(b)
	}
	f.Add([]byte{})
	f.Add([]byte("\x08\x05\x50\xff\xff\xff\xff\x0f"))
	f.Add(body(put("/v/a", "value")))
	f.Add(body(&protocol.Message{Type: protocol.GetProviders, Key: []byte("k"), ProviderPeers: peersOfSize(nil, 5, 5, 5)}))
	s := testServer(NewLimiter(LimiterConfig{PerPeer: Unlimited}))
	var out []byte
	f.Fuzz(func(t *testing.T, frame []byte) {
		answer, pause, err := s.Serve(t0, from, frame, out)
		if pause != 0 {
			t.Errorf("pause %v", pause)
		}
		if answer != nil {
			out = answer
		}
		stats := s.Stats()
		for i, c := range append(stats.Types[:], stats.Other) {
			if c.Panicked > 0 {
				t.Fatalf("type %d: %v", i, err)
			}
		}
		if err != nil {
			if answer != nil {
				t.Fatal("an answer and an error")
			}
			return
		}
		checkAnswer(t, frame, answer)
	})
}

func checkAnswer(t *testing.T, frame, answer []byte) {
	var req, m protocol.Message
	if err := protocol.Protobuf.Decode(frame, &req); err != nil {
		t.Fatalf("served what cannot be decoded: %v", err)
	}
	if req.Type == protocol.AddProvider {
		if answer != nil {
			t.Fatal("an answer to ADD_PROVIDER")
		}
		return
	}
	if err := protocol.Protobuf.Decode(answer, &m); err != nil {
		t.Fatalf("the answer cannot be decoded: %v", err)
	}
	if m.Type != req.Type {
		t.Fatalf("%v answered with %v", req.Type, m.Type)
	}
	record := 0
	if m.HasRecord {
		with := protocol.Size(&m)
		m.HasRecord = false
		record = with - protocol.Size(&m)
	}
	if isEcho(req.Type) {
		if len(answer) > len(frame) || len(m.CloserPeers)+len(m.ProviderPeers) > 0 {
			t.Fatalf("request %x, echo %x", frame, answer)
		}
	} else if len(answer) > protocol.MaxAnswer+record {
		t.Fatalf("answer of %d bytes with a record of %d", len(answer), record)
	}
}

// recordedBodies returns the bodies of the recorded messages.
func recordedBodies(f *testing.F) (bodies [][]byte) {
	raw, err := os.ReadFile("../testdata/messages.json")
	if err != nil {
		f.Fatal(err)
	}
	var messages []struct{ Hex json.RawMessage }
	if err := json.Unmarshal(raw, &messages); err != nil {
		f.Fatal(err)
	}
	for _, m := range messages {
		var text string
		if json.Unmarshal(m.Hex, &text) != nil {
			continue // a run-length form
		}
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		bodies = append(bodies, b)
	}
	if len(bodies) < 50 {
		f.Fatalf("only %d messages", len(bodies))
	}
	return bodies
}

// FuzzAnswer: whatever bytes a peer answers with, RoundTrip returns, with an
// answer that matches or an error of exactly one class, and no stream is lost.
func FuzzAnswer(f *testing.F) {
	for _, b := range recordedBodies(f) {
		f.Add(append(varint.ToUvarint(uint64(len(b))), b...), false)
	}
	f.Add(framed(provide("x")), true)
	f.Fuzz(func(t *testing.T, raw []byte, used bool) {
		peers := &fakePeers{used: used, request: func(s *fakeStream, _ []byte) {
			s.send(raw...)
			s.finish(errRemoteReset)
		}}
		c := NewClient(protocol.Protobuf, peers, ClientConfig{})
		for _, req := range []*protocol.Message{find("k"), get("/v/hello"), put("k", "v"), {Type: protocol.Ping}} {
			var resp protocol.Message
			err := c.RoundTrip(t.Context(), "p", req, &resp)
			if err == nil {
				if v, reason := match(req, &resp); v != answers {
					t.Fatal(reason)
				}
			} else {
				wantOne(t, err, outcomeOf(err))
			}
		}
		if _, live, _, _, _ := peers.counts(); live != 0 {
			t.Fatalf("%d streams live", live)
		}
	})
}
