package conformance

import "testing"

// deviation is an expectation of exchanges.json that kdht does not meet on
// purpose: wire.md §22 says what it does instead.
type deviation struct {
	paragraph string // of wire.md
	why       string
	adjust    func(*exchange) // puts kdht's figure in the place of the recorded one
}

// deviations are all of them. An exchange that is not named here is judged by
// what was recorded.
var deviations = map[string]deviation{
	"alone/add-900-addresses": {
		"§22.2", "a peer is told with at most 16 of its addresses, recorded were 64",
		tellAtMost(64),
	},
	"alone/add-60-long-addresses": {
		"§22.2", "a peer is told with at most 16 of its addresses (here fewer, since the store keeps 2 KiB of them), recorded were 49",
		tellAtMost(49),
	},
}

// tellAtMost replaces the recorded number of addresses of the only provider in
// the last answer: of those it announced in the first frame, 1 to maxAddrs.
func tellAtMost(recorded int) func(*exchange) {
	return func(e *exchange) {
		last := e.Expect[len(e.Expect)-1].shape
		if last == nil || len(last.ProviderPeers) != 1 || last.ProviderPeers[0].AddrsCount != recorded || last.ProviderPeers[0].Addrs != nil {
			panic("BUG: " + e.Name + " does not expect what its deviation replaces")
		}
		request, err := parseMessage(bodyOf(e.Frames[0]))
		if err != nil || len(request.providers) != 1 {
			panic("BUG: " + e.Name + " announces not one provider")
		}
		last.ProviderPeers[0].AddrsCount = maxAddrs
		last.ProviderPeers[0].announced = addrTexts(request.providers[0].addrs)
	}
}

// TestDeviationsAreReal fails when a deviation names no exchange or changes
// nothing, so that the table cannot outlive its reasons.
func TestDeviationsAreReal(t *testing.T) {
	byName := map[string]*exchange{}
	all := loadExchanges(t)
	for i := range all {
		byName[all[i].Name] = &all[i]
	}
	for name, d := range deviations {
		e := byName[name]
		if e == nil {
			t.Errorf("%s deviates by wire.md %s, but there is no such exchange", name, d.paragraph)
			continue
		}
		d.adjust(e) // panics if the recorded expectation is not the one it replaces
	}
}
