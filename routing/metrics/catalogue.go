package metrics

// metric is a name, what it means, and its labels.
type metric struct {
	name, help string
	labels     []string
}

// catalogue is what is read at a scrape; operations.go has what is added up.
var catalogue = []metric{
	{"kdht_server", "1 while this peer serves others, 0 while it is a client.", nil},
	{"kdht_table_peers", "Peers in the routing table.", nil},
	{"kdht_table_bucket_peers", "Peers in the routing table by the bits they share with us; the last counts all beyond.", []string{"prefix"}},
	{"kdht_table_bucket_replacements", "Peers that wait for a place in the table, by the bits they share with us.", []string{"prefix"}},
	{"kdht_connected_peers", "Peers with a direct connection.", nil},
	{"kdht_speaking_peers", "Connected peers that serve our protocol.", nil},
	{"kdht_network_size_peers", "How many peers the network has, as far as we know.", nil},
	{"kdht_network_size_samples", "Of how many samples that is the median.", nil},
	{"kdht_operations_active", "Operations under way.", nil},
	{"kdht_lookup_cache_total", "Lookups by what they had of others: answered from memory (hit, negative), joined, begun where another ended, or nothing (miss).", []string{"result"}},
	{"kdht_lookup_cache_invalidated_total", "What was remembered and was no answer any more before its time.", nil},
	{"kdht_lookup_cache_keys", "Keys that something is remembered of.", nil},
	{"kdht_lookup_cache_bytes", "Bytes that what is remembered takes.", nil},
	{"kdht_requests_in_total", "Requests of others, by what became of them.", []string{"type", "outcome"}},
	{"kdht_request_in_bytes_total", "Bytes of others' requests.", []string{"type"}},
	{"kdht_answer_out_bytes_total", "Bytes of our answers.", []string{"type"}},
	{"kdht_request_in_duration_seconds", "From a whole request of another to our answer.", []string{"type"}},
	{"kdht_requests_out_total", "Our requests to others, by what became of them.", []string{"type", "outcome"}},
	{"kdht_request_out_retries_total", "Our requests made again on a fresh stream.", nil},
	{"kdht_request_out_duration_seconds", "From our request to its answer, dial and queue included.", []string{"type"}},
	{"kdht_throttle_admitted_total", "Requests that the gate admitted.", nil},
	{"kdht_throttle_paused_total", "Of these, those that were slowed.", nil},
	{"kdht_throttle_pause_seconds_total", "Sum of all pauses asked for.", nil},
	{"kdht_throttle_refused_total", "Requests that the gate refused, by whose budget was used up.", []string{"by"}},
	{"kdht_throttle_peers", "Peers that the gate holds an account of.", nil},
	{"kdht_throttle_forgotten_total", "Accounts that made room for others.", nil},
	{"kdht_workers", "How many requests are handled at a time.", nil},
	{"kdht_workers_busy", "How many are being handled.", nil},
	{"kdht_queue_waiting", "Requests that wait for a worker.", nil},
	{"kdht_queue_waited_total", "Requests that had to wait.", nil},
	{"kdht_queue_shed_total", "Of these, those dropped: their peer had too many, others had a better claim, or their turn came too late.", []string{"reason"}},
	{"kdht_queue_overload_total", "Requests that came in overload.", nil},
	{"kdht_streams_in", "Others' streams that are served.", nil},
	{"kdht_streams_in_buffered_bytes", "Bytes held of unfinished frames.", nil},
	{"kdht_streams_in_accepted_total", "Others' streams let in.", nil},
	{"kdht_streams_in_ended_total", "Others' streams that their peers closed in peace.", nil},
	{"kdht_streams_in_reset_total", "Others' streams that we reset.", []string{"reason"}},
	{"kdht_records", "Records held for others (value, provider), and own ones kept alive (publishing, providing).", []string{"kind"}},
	{"kdht_value_bytes", "Bytes of the values held.", nil},
	{"kdht_snapshot_peers", "Peers kept for the next run.", nil},
}
