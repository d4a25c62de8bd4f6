package conformance

import (
	"strings"
	"testing"
)

// requirement is one [M] row of wire.md or one item of its checklist §21, and
// what shows that kdht meets it: entries of the vectors or tests of this
// package.
type requirement struct {
	row       string
	exchanges []string           // of exchanges.json; one ending in * stands for all that begin so
	client    []string           // of client_exchanges.json
	tests     []func(*testing.T) // of this package
}

var requirements = []requirement{
	// §1
	{row: "§1 a client-mode peer answers \"na\"", exchanges: []string{"client/client-mode"}},

	// §2
	{row: "§2 varint length and protobuf body", exchanges: []string{"alone/ping", "alone/ping-without-level", "alone/ping-byte-by-byte", "alone/ping-then-find-byte-by-byte"}},
	{row: "§2 over-long length varint is reset", exchanges: []string{"alone/length-2-in-two-bytes", "alone/length-4-in-three-bytes", "alone/length-zero-in-two-bytes"}, client: []string{"overlong-length-twice"}},
	{row: "§2 length varint of at most nine bytes", exchanges: []string{"alone/length-nine-byte-varint", "alone/length-ten-byte-varint"}},
	{row: "§2 a frame of exactly 4 MiB is accepted and echoed", exchanges: []string{"alone/length-4MiB", "alone/body-16KiB", "alone/body-70KiB"}},
	{row: "§2 4 MiB + 1 announced is reset before the body", exchanges: []string{"alone/length-4MiB-plus-1-announced", "alone/length-4GiB-announced"}, client: []string{"too-long-twice"}},
	{row: "§2 length 0 is a PUT_VALUE without key: reset", exchanges: []string{"alone/length-zero"}},
	{row: "§2 garbage protobuf is reset", exchanges: []string{"alone/garbage", "alone/garbage-after-ping", "alone/malformed-*"}, client: []string{"garbage-twice"}},
	{row: "§2 truncated frame and half-close is reset", exchanges: []string{"alone/truncated-body-half-close", "alone/truncated-length-half-close", "alone/truncated-second-frame-half-close", "alone/truncated-body-stream-open"}},
	{row: "§2 half-close with nothing sent is a clean close", exchanges: []string{"alone/half-close-nothing-sent"}},
	{row: "§2 PING and PUT_VALUE echo unknown fields", exchanges: []string{"alone/echo-*", "alone/put-unknown-fields"}},
	{row: "§2 stored Records keep unknown fields", exchanges: []string{"alone/put-rust-fields", "alone/put-reserved-record-fields"}},
	{row: "§2 own answers stay within 16 KiB, §22.1", tests: []func(*testing.T){TestAnswersStayWithin16KiB}},

	// §4
	{row: "§4 a FIND_NODE key need not be a peer id", exchanges: []string{"alone/find-hello", "alone/find-one-byte", "alone/find-1000-bytes", "alone/find-record-key"}},

	// §5
	{row: "§5 requests on one stream are answered in order", exchanges: []string{"alone/pipelined-three-pings", "alone/pipelined-mixed", "alone/sixteen-requests-one-stream"}},
	{row: "§5 idle for 60 s is reset, restarted by whole messages only", exchanges: []string{"alone/idle-nothing-sent", "alone/idle-after-ping", "alone/idle-restarted-by-message", "alone/idle-not-restarted-by-bytes"}},
	{row: "§5 a half-closed client gets its answers, then EOF", exchanges: []string{"alone/half-close-after-ping", "alone/half-close-after-three", "alone/add-half-close"}},
	{row: "§5 an error is a reset", exchanges: []string{"alone/type-99-after-ping", "alone/put-older"}},
	{row: "§5 turned client, a server resets its inbound streams", tests: []func(*testing.T){TestTurningClientResetsStreams}},
	{row: "§5 read timeout of 10 s", client: []string{"silence-twice"}},
	{row: "§5 a stream that ends unanswered is retried once on a fresh one, never twice", client: []string{"reset-then-value", "close-then-value", "reset-twice", "put-refused"}},
	{row: "§5 streams are used again", client: []string{"reuse-after-answers"}},
	{row: "§5 ADD_PROVIDER has no answer", exchanges: []string{"alone/add-plain", "alone/add-then-three-pings"}, client: []string{"add-provider-silent"}},
	{row: "§5 answers never shift after a stray one", client: []string{"add-provider-echo", "add-provider-status", "add-provider-echo-then-find", "two-answers"}},

	// §6
	{row: "§6 closest(k) leaves the requester out", exchanges: []string{"small/find-as-member", "swarm/find-as-member", "small/get-as-member", "swarm/get-as-member", "small/providers-as-member", "swarm/providers-as-member", "swarm/find-member-other"}},
	{row: "§6 closest(k) is ascending and cut to 20", exchanges: []string{"swarm/find-hello", "swarm/find-other-key", "swarm/find-record-key", "swarm/get-absent", "swarm/providers-none"}},
	{row: "§6 cluster level of built answers is max(1, request's), of echoes the request's", exchanges: []string{"alone/level-*"}},
	{row: "§6 PING echoes key and unknown fields, not peers", exchanges: []string{"alone/ping-key", "alone/ping-record", "alone/ping-stuffed-peers"}},
	{row: "§6 FIND_NODE without key is reset", exchanges: []string{"alone/find-empty-key", "alone/find-explicit-empty-key"}},
	{row: "§6 FIND_NODE answers carry no key", exchanges: []string{"alone/find-no-key-in-answer", "alone/find-stuffed"}},
	{row: "§6 FIND_NODE puts the target in front: up to 21 peers", exchanges: []string{"swarm/find-self", "swarm/find-known-non-member", "swarm/find-member-itself", "small/find-known-non-member"}},
	{row: "§6 FIND_NODE for self gives self's addresses", exchanges: []string{"alone/find-self", "small/find-self", "swarm/find-self"}},
	{row: "§6 FIND_NODE for the requester gives it as CONNECTED", exchanges: []string{"alone/find-requester-with-addresses", "alone/find-requester-without-addresses", "small/find-member-itself"}},
	{row: "§6 FIND_NODE for an unknown target leaves it out", exchanges: []string{"alone/find-unknown-peer", "small/find-unknown-peer", "swarm/find-unknown-peer"}},
	{row: "§6 FIND_NODE leaves out who has no known address", exchanges: []string{"small/find-hello", "small/find-member-without-addresses"}},
	{row: "§6 FIND_NODE names departed peers whose addresses are remembered", exchanges: []string{"small/find-departed"}},
	{row: "§6 GET_VALUE without key is reset", exchanges: []string{"alone/get-empty-key"}},
	{row: "§6 GET_VALUE names closer peers without addresses too", exchanges: []string{"small/get-absent", "small/get-stored"}},
	{row: "§6 GET_VALUE of no or an unknown namespace is no error", exchanges: []string{"alone/get-unknown-namespace", "alone/get-no-namespace", "alone/get-slash", "alone/get-binary-key", "small/get-unknown-namespace", "amino/get-v"}},
	{row: "§6 PUT_VALUE rejects", exchanges: []string{"alone/put-no-key", "alone/put-no-record", "alone/put-empty-record", "alone/put-no-record-key", "alone/put-key-mismatch", "alone/put-unknown-namespace", "alone/put-older", "amino/put-pk-garbage"}},
	{row: "§6 PUT_VALUE echoes the record as sent, without peers", exchanges: []string{"alone/put-without-time", "alone/put-with-time", "alone/put-stuffed-peers", "alone/put-level-7"}},
	{row: "§6 GET_PROVIDERS and ADD_PROVIDER keys of 1 to 80 bytes", exchanges: []string{"alone/providers-empty-key", "alone/providers-key-1", "alone/providers-key-80", "alone/providers-key-81", "alone/add-key-0", "alone/add-key-1", "alone/add-key-80", "alone/add-key-81", "alone/add-not-a-multihash"}},
	{row: "§6 GET_PROVIDERS in random order; §22.3 a sample of at most 32", tests: []func(*testing.T){TestProvidersAreASample}},
	{row: "§6 GET_PROVIDERS may list the requester and the server itself", exchanges: []string{"alone/add-plain", "small/providers-member-provides", "holder/providers-own"}},
	{row: "§6 ADD_PROVIDER with nothing usable is reset", exchanges: []string{"alone/add-nobody", "alone/add-foreign", "alone/add-no-addresses", "alone/add-bad-address", "alone/add-empty-address", "alone/add-empty-id", "alone/add-in-closer-peers"}},
	{row: "§6 ADD_PROVIDER skips foreign entries when a good one exists", exchanges: []string{"alone/add-foreign-and-own"}},
	{row: "§6 the address count comes before the address filter", exchanges: []string{"no-addresses/add-stored-without-addresses"}},
	{row: "§6 other types are reset", exchanges: []string{"alone/type-*"}},
	{row: "§6 sub-systems switched off are unknown types", exchanges: []string{"no-values/get", "no-values/put", "no-providers/providers", "no-providers/add"}},
	{row: "§6, §22.4 addresses outside the network are not told", tests: []func(*testing.T){TestFilteredAddressesAreNotTold}},

	// §7
	{row: "§7 putting the same value again refreshes its age", exchanges: []string{"alone/put-same-refreshes"}},

	// §21
	{row: "§21 21-peer FIND_NODE", exchanges: []string{"swarm/find-self", "swarm/find-known-non-member", "swarm/find-member-itself"}},
	{row: "§21 requester exclusion in closest(20) when it is in the table", exchanges: []string{"swarm/find-as-member", "swarm/get-as-member", "swarm/providers-as-member"}},
	{row: "§21 80- and 81-byte keys", exchanges: []string{"alone/providers-key-80", "alone/providers-key-81", "alone/add-key-80", "alone/add-key-81"}},
	{row: "§21 4 MiB and 4 MiB + 1", exchanges: []string{"alone/length-4MiB", "alone/length-4MiB-plus-1-announced", "alone/get-4MiB"}},
	{row: "§21 over-long varint", exchanges: []string{"alone/length-2-in-two-bytes"}},
	{row: "§21 3× pipelining", exchanges: []string{"alone/pipelined-three-pings"}},
	{row: "§21 half-close", exchanges: []string{"alone/half-close-nothing-sent", "alone/half-close-after-ping", "alone/half-close-after-three"}},
	{row: "§21 60 s idle", exchanges: []string{"alone/idle-nothing-sent", "alone/idle-after-ping"}},
	{row: "§21 silent ADD_PROVIDER, then PING on the same stream", exchanges: []string{"alone/add-plain", "alone/add-then-three-pings"}},
	{row: "§21 PUT older, newer, same, bad", exchanges: []string{"alone/put-older", "alone/put-older-keeps-newer", "alone/put-newer", "alone/put-same", "alone/put-tie", "amino/put-pk-garbage", "amino/put-ipns-older", "amino/put-ipns-newer", "amino/put-ipns-bad-signature"}},
	{row: "§21 unknown namespace GET against PUT", exchanges: []string{"alone/get-unknown-namespace", "alone/put-unknown-namespace"}},
	{row: "§21 unknown type 99", exchanges: []string{"alone/type-99", "alone/type-99-after-ping"}},
	{row: "§21 cluster level 0, 1, 7", exchanges: []string{"alone/level-0-*", "alone/level-1-*", "alone/level-7-*"}},
	{row: "§21 unknown field echo", exchanges: []string{"alone/echo-unknown-bytes", "alone/echo-unknown-all-wire-types"}},
	{row: "§21 /p2p-suffixed address intake", exchanges: []string{"alone/add-p2p-suffix", "alone/add-p2p-suffix-foreign", "alone/add-p2p-suffix-foreign-only", "alone/add-p2p-only"}, client: []string{"find-rust-addresses"}},
	{row: "§21 rust Record fields 666 and 777 kept", exchanges: []string{"alone/put-rust-fields"}},
	{row: "§21 stray ADD_PROVIDER answer skipped", client: []string{"add-provider-echo", "add-provider-status", "add-provider-echo-then-find"}, tests: []func(*testing.T){TestStrayAnswersAreSkipped}},

	// §22
	{row: "§22.1 answers above 16 KiB are trimmed to 4 addresses a peer", tests: []func(*testing.T){TestAnswersStayWithin16KiB}},
	{row: "§22.2 a peer is told with at most 16 addresses", exchanges: []string{"alone/add-900-addresses", "alone/add-60-long-addresses"}},
	{row: "§22.3 at most 32 providers, a random sample", tests: []func(*testing.T){TestProvidersAreASample}},
	{row: "§22.4 addresses are filtered on output", tests: []func(*testing.T){TestFilteredAddressesAreNotTold}},
	{row: "§22.6 a reused stream that ends unanswered is retried once", client: []string{"reset-then-value", "close-then-value"}},
}

// TestChecklist fails when a requirement names a vector that does not exist,
// or nothing at all.
func TestChecklist(t *testing.T) {
	var exchanges, client []string
	for _, e := range loadExchanges(t) {
		exchanges = append(exchanges, e.Name)
	}
	for _, c := range loadClientCases(t) {
		client = append(client, c.Name)
	}
	for _, r := range requirements {
		if len(r.exchanges)+len(r.client)+len(r.tests) == 0 {
			t.Errorf("%s: nothing shows it", r.row)
		}
		for _, f := range r.tests {
			if f == nil {
				t.Errorf("%s: names a test that is nil", r.row)
			}
		}
		for _, name := range r.exchanges {
			if !anyMatches(exchanges, name) {
				t.Errorf("%s: exchanges.json has no %s", r.row, name)
			}
		}
		for _, name := range r.client {
			if !anyMatches(client, name) {
				t.Errorf("%s: client_exchanges.json has no %s", r.row, name)
			}
		}
	}
}

func anyMatches(names []string, pattern string) bool {
	prefix, many := strings.CutSuffix(pattern, "*")
	for _, n := range names {
		if n == pattern || many && strings.HasPrefix(n, prefix) {
			return true
		}
	}
	return false
}
