package routing

import (
	"strings"
	"testing"

	"github.com/kdht/kdht/protocol"
	coreprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// A format has a codec, and a protocol id that no other format has.
func TestFormatsAreChecked(t *testing.T) {
	for id, codec := range map[coreprotocol.ID]protocol.Codec{"": protocol.JSON, "/x": nil, DefaultProtocol: protocol.JSON, DefaultJSONProtocol: protocol.JSON} {
		_, err := Config{Serving: Serving{Formats: map[coreprotocol.ID]protocol.Codec{id: codec}}}.withDefaults()
		if err == nil || !strings.Contains(err.Error(), "give a codec, and a protocol id") {
			t.Errorf("%q with %v: %v", id, codec, err)
		}
	}
	if _, err := (Config{Serving: Serving{Formats: map[coreprotocol.ID]protocol.Codec{"/x": protocol.JSON}}}).withDefaults(); err != nil {
		t.Error(err)
	}
}
