package conformance

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"
)

// clientCase is one entry of client_exchanges.json (its README names every
// field): requests that a client makes of one peer, one after the other.
type clientCase struct {
	Name, About string
	Steps       []clientStep
}

// clientStep is one request, what the peer does at its first, second, ...
// arrival, and what a good client then reports.
type clientStep struct {
	Request struct{ Type, KeyHex, RecordValueHex string }
	Server  []arrival
	Expect  clientResult

	// for information: what the go client did
	Observed, ObservedTries, ObservedSeconds json.RawMessage
}

// arrival is what the scripted server does when a request arrives.
type arrival struct {
	FramesOut  []frame `json:"frames_out_hex"`
	ChunkBytes int     `json:"chunk_bytes"`
	Then       string  // reset, close, silence or nothing
}

// clientResult is what a client reports; the fields that the entry lacks are
// nil and not looked at. RecordValueHex is "null" where no record is expected.
type clientResult struct {
	Error                string
	RecordValueHex       json.RawMessage
	Stored, Pong, Sent   bool
	CloserPeers          []shapePeer
	ProviderPeers        []shapePeer
	hasCloser, hasRecord bool
}

func (r *clientResult) UnmarshalJSON(b []byte) error {
	type plain clientResult
	if err := strict(b, (*plain)(r)); err != nil {
		return err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(b, &keys); err != nil {
		return err
	}
	_, r.hasCloser = keys["closerPeers"]
	_, r.hasRecord = keys["recordValueHex"]
	return nil
}

// value is the expected record's value; ok is false where none is expected.
func (r *clientResult) value() (value []byte, ok bool, err error) {
	var text *string
	if err := json.Unmarshal(r.RecordValueHex, &text); err != nil || text == nil {
		return nil, false, err
	}
	value, err = hex.DecodeString(*text)
	return value, true, err
}

func loadClientCases(t testing.TB) []clientCase {
	t.Helper()
	var all []clientCase
	load(t, "client_exchanges.json", &all)
	if len(all) != 37 {
		t.Fatalf("%d client cases, want 37", len(all))
	}
	return all
}

// TestClientVectors: every script says only what this package can play, and
// every expectation is one it can judge.
func TestClientVectors(t *testing.T) {
	for _, c := range loadClientCases(t) {
		for i, s := range c.Steps {
			e := s.Expect
			said := 0
			for _, is := range []bool{e.Error != "", e.hasRecord, e.Stored, e.Pong, e.Sent, e.hasCloser} {
				if is {
					said++
				}
			}
			if said != 1 || e.ProviderPeers != nil && !e.hasCloser {
				t.Errorf("%s, step %d: expects %d things at once", c.Name, i+1, said)
			}
			for _, a := range s.Server {
				if !slices.Contains([]string{"", reset, "close", "silence"}, a.Then) {
					t.Errorf("%s, step %d: no server can do %q", c.Name, i+1, a.Then)
				}
			}
		}
	}
}
