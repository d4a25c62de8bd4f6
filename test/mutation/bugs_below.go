package mutation

// Bugs in the wire format.
var wireBugs = []Bug{
	{
		Name: "length-check-too-short", File: "protocol/protobuf_read.go", In: wire,
		Old: "b[0] < 0x80 && int(b[0]) < len(b) {", New: "b[0] < 0x80 && int(b[0]) <= len(b) {",
		Why: "a field that is cut short by one byte is read beyond its end",
	},
	{
		Name: "length-signed", File: "protocol/protobuf_read.go", In: wire,
		Old: "v, n = protowire.ConsumeBytes(b)\n",
		New: "u, k := protowire.ConsumeVarint(b)\n\tif k < 0 || int(u) > len(b)-k {\n\t\treturn nil, -1\n\t}\n\tv, n = b[k:k+int(u)], k+int(u)\n",
		Why: "a length beyond 2^63 passes for a negative one",
	},
	{
		Name: "group-depth-off-by-one", File: "protocol/protobuf_read.go", In: wire,
		Old: "if depth == maxGroups {", New: "if depth > maxGroups {",
		Why: "nesting one deeper than allowed writes beyond the stack",
	},
	{
		Name: "unknown-fields-of-records-lost", File: "protocol/protobuf_decode.go", In: wire,
		Old: "r.Unknown = unknown.add(r.Unknown, b, i, i+n+k)", New: "unknown.add(r.Unknown, b, i, i+n+k)",
		Why: "what newer peers add to a record does not survive us",
	},
	{
		Name: "repeated-record-not-merged", File: "protocol/protobuf_decode.go", In: wire,
		Old: "m.HasRecord = true\n", New: "m.HasRecord = true\n\t\t\tm.Record = Record{}\n",
		Why: "a record in two parts is read otherwise than by everybody else",
	},
	{
		Name: "type-found-otherwise-than-decoded", File: "protocol/protobuf_decode.go", In: wire,
		Old: "t, k = consumeInt32(b[i+n:])\n", New: "t, k = consumeInt32(b[i+n:])\n\t\t\tif k >= 0 {\n\t\t\t\treturn Type(t), nil\n\t\t\t}\n",
		Why: "a request is admitted as one type and served as another",
	},
	{
		Name: "unbounded-peers", File: "protocol/limits.go", In: wire,
		Old: "return min(MaxPeers, freePeers+size/minPeerSize)", New: "return MaxPeers + size/2",
		Why: "a small frame makes us hold a large message",
	},
	{
		Name: "own-p2p-suffix-kept", File: "protocol/addr.go", In: wire,
		Old: "return addr[:end:end], end > 0 && !foreign", New: "return addr, end > 0 && !foreign",
		Why: "the same address in two forms counts as two",
	},
	{
		Name: "answer-one-peer-too-long", File: "protocol/trim.go", In: wire,
		Old: "for size > limit && len(list) > least {\n\t\tsize -= list[len(list)-1].fieldSize()",
		New: "for size > limit && len(list) > least {\n\t\tsize -= 2 * list[len(list)-1].fieldSize()",
		Why: "answers are longer than others read",
	},
}

// Bugs in admission, in the budgets and in matching answers.
var rpcBugs = []Bug{
	{
		Name: "limiter-refills-twice", File: "protocol/rpc/bucket.go", In: calls,
		Old: "* r.PerSecond\n\t\tb.last = now\n", New: "* r.PerSecond\n\t\tif b.level < 0 {\n\t\t\tb.last = now\n\t\t}\n",
		Why: "the same second is credited again and again",
	},
	{
		Name: "limiter-pays-for-a-clock-set-back", File: "protocol/rpc/bucket.go", In: calls,
		Old: "} else if b.last-now > clockSlack {", New: "} else {",
		Why: "goroutines that race refill each other's bucket",
	},
	{
		Name: "limiter-forgetting-pays", File: "protocol/rpc/table.go", In: calls,
		Old: "e.key, e.spell = key, spell{}", New: "e.key, e.spell, e.level = key, spell{}, r.Burst",
		Why: "a flooder with many names has a full burst for each",
	},
	{
		Name: "limiter-forgets-the-newest", File: "protocol/rpc/table.go", In: calls,
		Old: "i := t.entries[0].prev", New: "i := t.entries[0].next",
		Why: "the busiest peer is forgotten first, and starts anew",
	},
	{
		Name: "echo-longer-than-its-request", File: "protocol/rpc/server.go", In: calls,
		Old: "case err != nil || len(b) <= len(in.frame):", New: "case err != nil || len(b) > 0:",
		Why: "an echo amplifies",
	},
	{
		Name: "decoded-type-not-checked", File: "protocol/rpc/server.go", In: calls,
		Old: "if x.req.Type != in.t {", New: "if !x.req.Type.Valid() {",
		Why: "with a codec that differs from its scan, one type is charged and another served",
	},
	{
		Name: "stray-answer-accepted", File: "protocol/rpc/match.go", In: calls,
		Old: "if answer.Type != req.Type {", New: "if answer.Type != req.Type && answer.Type != protocol.AddProvider {",
		Why: "an acknowledgement nobody asked for passes for the answer",
	},
	{
		Name: "answer-for-another-key-accepted", File: "protocol/rpc/match.go", In: calls,
		Old: "return stray, \"answer for another key\"", New: "return answers, \"\"",
		Why: "the late answer to the last request is taken for this one's",
	},
	{
		Name: "stream-reused-after-a-stray-answer", File: "protocol/rpc/client.go", In: calls,
		Old: "fit = skipped == \"\"", New: "fit = true",
		Why: "answers and requests of a stream stay one apart for ever",
	},
	{
		Name: "retried-on-a-fresh-stream-too", File: "protocol/rpc/client.go", In: calls,
		Old: "err = failed(ctx, \"write request\", err)\n\t\treturn reused && retriable(err), err",
		New: "err = failed(ctx, \"write request\", err)\n\t\treturn retriable(err), err",
		Why: "a peer that resets every stream is asked twice each time",
	},
	{
		Name: "stream-without-deadline", File: "protocol/rpc/client.go", In: calls,
		Old: "stop := context.AfterFunc(ctx, s.Reset)", New: "stop := context.AfterFunc(context.Background(), s.Reset)",
		Why: "a cancelled request holds its stream until the peer answers",
	},
	{
		Name: "permit-lost-in-the-queue", File: "protocol/rpc/slots.go", In: calls,
		Old: "\t}\n\ts.give()\n}", New: "\t}\n}",
		Why: "a request whose turn comes as it gives up takes its permit with it",
	},
	{
		Name: "permit-lost-when-all-are-busy", File: "protocol/rpc/slots.go", In: calls,
		Old: "s.give()\n\t\tb.mu.Unlock()\n\t\tb.drop(to, s)", New: "b.mu.Unlock()\n\t\tb.drop(to, s)",
		Why: "after eight refusals a peer is never asked again",
	},
}

// Bugs in the stores.
var storeBugs = []Bug{
	{
		Name: "provider-never-expires", File: "store/provider_word.go", In: storing,
		Old: "return t-w.added(t) > validity", New: "return t-w.added(t) > 2*validity",
		Why: "providers are told for twice as long as they promised",
	},
	{
		Name: "announced-again-not-renewed", File: "store/provider_shard.go", In: storing,
		Old: "s.pages.set(&k, i, w.renewed(s.now))\n", New: "",
		Why: "a provider that announces in time expires all the same",
	},
	{
		Name: "provider-references-leak", File: "store/provider_durable.go", In: storing,
		Old: "if err != nil || before != 0 {\n\t\ts.book", New: "if err != nil {\n\t\ts.book",
		Why: "addresses of providers that are long gone stay in memory",
	},
	{
		Name: "what-a-sweep-left-is-forgotten", File: "store/provider_room.go", In: storing,
		Old: "s.sweep.oldest = min(s.sweep.oldest, w.added(s.now))", New: "",
		Why: "what was not too old at a sweep stays for up to another validity",
	},
	{
		Name: "moved-item-loses-its-place", File: "store/buckets.go", In: storing,
		Old: "moved.at().index = p.index", New: "",
		Why: "removing one item makes another unfindable",
	},
	{
		Name: "nearest-given-up-first", File: "store/farthest.go", In: storing,
		Old: "if h.far(i) <= h.far(parent) {", New: "if h.far(i) >= h.far(parent) {",
		Why: "a full store gives up the keys it is responsible for",
	},
	{
		Name: "heap-not-mended", File: "store/farthest.go", In: storing,
		Old: "h.far(child+1) > h.far(child)", New: "h.far(child+1) < h.far(child)",
		Why: "after some removals the farthest is not on top",
	},
	{
		Name: "old-value-wins", File: "store/values.go", In: storing,
		Old: "if best != 0 {", New: "if best == 0 {",
		Why: "a newer record is refused, an older one replaces it",
	},
	{
		Name: "replaced-value-charged-twice", File: "store/values_index.go", In: storing,
		Old: "x.bytes += int64(cost) - int64(e.cost)", New: "x.bytes += int64(cost)",
		Why: "a value that is put again fills the budget until nothing fits",
	},
	{
		Name: "value-age-ignored", File: "store/values_index.go", In: storing,
		Old: "return x.maxAge > 0 && t > after(e.received, x.maxAge)", New: "return x.maxAge > 0 && t > after(e.received, 10*x.maxAge)",
		Why: "values live ten times as long as they may",
	},
	{
		Name: "clock-set-back-makes-immortal", File: "store/clock.go", In: storing,
		Old: "if latest-t > reorder {", New: "if latest-t > 1<<31 {",
		Why: "after a clock was set back nothing expires until it has caught up",
	},
}
