package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/multiformats/go-multiaddr"

	"github.com/kdht/kdht/routing"
)

// exchange is one entry of exchanges.json (its README names every field).
type exchange struct {
	Name, Section, About string
	Server               string // the set-up
	As                   string // the identity that asks
	Before               []step
	Frames               []frame `json:"frames_in_hex"`
	ChunkBytes           int     `json:"chunk_bytes"`
	PauseMs              []int   `json:"pause_ms"`
	Pipelined            bool
	HalfClose            bool `json:"half_close"`
	Expect               []item
	AlsoFine             [][]item        `json:"also_fine"`
	WaitMs               int             `json:"wait_ms"`
	OtherServers         json.RawMessage `json:"other_servers"` // for information
}

// step is something another identity does before an exchange.
type step struct {
	As         string
	Frames     []frame `json:"frames_in_hex"`
	ThenLeaves bool    `json:"then_leaves"`
	Expect     []item
}

// frame is bytes on the wire, length prefix included. It is written as hex or
// in run-length form.
type frame []byte

// item is one expected thing: exactly one of its fields is set.
type item struct {
	event string // "no answer", "reset", "eof" or "refused"
	frame frame  // exactly these bytes
	timed *timedEnd
	shape *shape
}

// The events of an item.
const (
	noAnswer = "no answer"
	reset    = "reset"
	eof      = "eof"
	refused  = "refused"
)

// timedEnd is an end of the stream some time after the last write.
type timedEnd struct {
	Event                  string
	AfterMinMs, AfterMaxMs int
}

// shape is a structural item: an answer whose bytes may vary.
type shape struct {
	Type              string
	KeyHex            string
	ClusterLevelRaw   int32
	UnknownHex        string
	CloserPeersMin    int
	CloserPeersMax    int
	CloserPeers       []shapePeer
	TargetFirst       bool
	ExcludesRequester bool
	ProviderIDs       []string `json:"providerIds"`
	ProviderPeers     []shapePeer
	HasRecord         bool
	RecordKeyHex      string
	RecordValueHex    string
	RecordUnknownHex  string
	RecordTime        string `json:"recordTimeReceived"`
	RecordedHex       string // one body that was seen; for information
}

// shapePeer is one expected peer; Addrs is nil where only their number counts.
type shapePeer struct {
	ID         string
	Addrs      []string
	AddrsCount int
	Connection string

	announced []string // by a deviation: 1 to AddrsCount of these, in place of AddrsCount of any
}

// setups is setups.json.
type setups struct {
	Servers    map[string]setup
	Identities map[string]identity
}

// setup is a server of exchanges.json.
type setup struct {
	About         string
	Protocol      string
	Identity      string
	Listen        []string
	K             int
	ClientMode    bool
	Values        bool
	Providers     bool
	Table         []string
	Connected     []string
	Departed      []string
	AddressFilter string
	Validators    map[string]string
	OwnValues     []ownValue
	OwnProvides   []string

	// For this package's own set-ups.
	auto   bool            // the mode follows reachability
	preset *routing.Config // what the server begins with; nil: a private network
}

// What a set-up's address filter does.
const (
	keepsEvery    = "keeps every address"
	dropsEvery    = "drops every address"
	keepsLoopback = "keeps loopback addresses" // this package's own
)

// ownValue is a record that a server has put itself.
type ownValue struct{ KeyHex, ValueHex string }

// identity is a peer of the set-ups.
type identity struct {
	Addrs   []string
	SeedHex string `json:"ed25519SeedHex"`
	ID      string
	IDHex   string

	also []multiaddr.Multiaddr // announced besides the live address, by this package's own set-ups
}

// announce is what the identity's host says of its addresses.
func (id identity) announce(live []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return append(slices.Clone(live), id.also...)
}

func (f *frame) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		raw, err := hex.DecodeString(s)
		*f = raw
		return err
	}
	var run struct {
		Hex, Fill, TailHex string
		Count, Bytes       int
		SHA256             string
	}
	if err := strict(b, &run); err != nil {
		return err
	}
	head, err1 := hex.DecodeString(run.Hex)
	fill, err2 := hex.DecodeString(run.Fill)
	tail, err3 := hex.DecodeString(run.TailHex)
	if err1 != nil || err2 != nil || err3 != nil || len(fill) != 1 {
		return fmt.Errorf("run-length frame is not hex: %.80s", b)
	}
	whole := append(append(head, bytes.Repeat(fill, run.Count)...), tail...)
	if sum := sha256.Sum256(whole); len(whole) != run.Bytes || hex.EncodeToString(sum[:]) != run.SHA256 {
		return fmt.Errorf("run-length frame has other bytes than it says: %.80s", b)
	}
	*f = whole
	return nil
}

func (it *item) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		switch s {
		case noAnswer, reset, eof, refused:
			it.event = s
			return nil
		}
		return it.frame.UnmarshalJSON(b)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(b, &keys); err != nil {
		return err
	}
	switch {
	case keys["event"] != nil:
		it.timed = new(timedEnd)
		return strict(b, it.timed)
	case keys["hex"] != nil:
		return it.frame.UnmarshalJSON(b)
	default:
		it.shape = new(shape)
		return strict(b, it.shape)
	}
}

// String describes the item in a failure.
func (it item) String() string {
	switch {
	case it.event != "":
		return it.event
	case it.timed != nil:
		return fmt.Sprintf("%s after %d to %d ms", it.timed.Event, it.timed.AfterMinMs, it.timed.AfterMaxMs)
	case it.shape != nil:
		return fmt.Sprintf("%s answer with key %q, %d closer peers, providers %v, record %v",
			it.shape.Type, it.shape.KeyHex, it.shape.CloserPeersMax, it.shape.ProviderIDs, it.shape.HasRecord)
	default:
		return "frame " + abbreviate(it.frame)
	}
}

// abbreviate renders bytes for a failure, long ones shortened.
func abbreviate(b []byte) string {
	if len(b) <= 160 {
		return hex.EncodeToString(b)
	}
	return fmt.Sprintf("%x…%x (%d bytes)", b[:80], b[len(b)-16:], len(b))
}

// strict decodes b into v and refuses fields that v does not have: a vector
// whose meaning this package does not know must not pass.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// load reads one file of protocol/testdata.
func load(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "protocol", "testdata", name))
	if err != nil {
		t.Fatalf("vectors: %v", err)
	}
	if err := strict(b, v); err != nil {
		t.Fatalf("vectors: %s: %v", name, err)
	}
}

func loadExchanges(t testing.TB) []exchange {
	t.Helper()
	var all []exchange
	load(t, "exchanges.json", &all)
	return all
}

func loadSetups(t testing.TB) setups {
	t.Helper()
	var s setups
	load(t, "setups.json", &s)
	return s
}
