package conformance

import (
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/kdht/kdht"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/amino"
)

// overlay is what a peer under test is a member of.
type overlay struct {
	protocol protocol.ID
	preset   *routing.Config // nil: a private network
}

var private, publicNet, localNet = overlay{protocol: "/kdht/kad/1.0.0"}, member(amino.Config()), member(amino.LANConfig())

func member(preset routing.Config) overlay { return overlay{preset.Protocol, &preset} }

// options make a member of the network in this mode.
func (n overlay) options(mode kdht.ModeOpt) []kdht.Option {
	if n.preset == nil {
		return []kdht.Option{kdht.V1ProtocolOverride(n.protocol), kdht.Mode(mode)}
	}
	return onLoopback(*n.preset, mode)
}

// TestPresets shows that every row of §21 holds in the networks of IPFS nodes as
// well, with the settings that the presets give a member: their protocol ids and
// limits. Each is replayed over one transport; TestExchanges has both.
func TestPresets(t *testing.T) {
	t.Parallel()
	for transport, in := range map[string]overlay{"tcp": publicNet, "quic": localNet} {
		t.Run(strings.ReplaceAll(string(in.protocol), "/", "."), func(t *testing.T) {
			t.Parallel()
			all := loadSetups(t)
			for name, s := range all.Servers {
				s.Protocol, s.preset = string(in.protocol), in.preset
				all.Servers[name] = s
			}
			exchanges := slices.DeleteFunc(expected(t), func(e exchange) bool {
				return !onChecklist(e.Name, func(r requirement) []string { return r.exchanges })
			})
			if len(exchanges) < 40 {
				t.Fatalf("only %d exchanges", len(exchanges))
			}
			for _, name := range sortedKeys(all.Servers) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					replaySetup(t, all, exchanges, name, transport)
				})
			}
			for _, c := range loadClientCases(t) {
				if onChecklist(c.Name, func(r requirement) []string { return r.client }) {
					t.Run("client/"+c.Name, func(t *testing.T) {
						t.Parallel()
						c.run(t, transport, true, in)
					})
				}
			}
		})
	}
}

// onChecklist reports whether a row of §21 names the vector.
func onChecklist(vector string, named func(requirement) []string) bool {
	return slices.ContainsFunc(requirements, func(r requirement) bool {
		return strings.HasPrefix(r.row, "§21 ") && slices.ContainsFunc(named(r), func(pattern string) bool {
			return anyMatches([]string{vector}, pattern)
		})
	})
}
