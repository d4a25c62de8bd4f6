// Package providerlog keeps provider records on disk: a store.Providers with the
// index of package store in memory and a log of what it was told behind it.
//
//	s, err := providerlog.Open(dir, providerlog.Config{
//		Providers: store.ProvidersConfig{Self: self, Seed: rand.Uint64()},
//		Uptime:    providerlog.SystemUptime,
//	})
//
// Reading never touches the disk, and announcing never waits for it: what is
// announced is in memory at once and in the log soon. A program that is killed
// loses what was announced in the last few milliseconds; a machine that loses its
// power, what was announced since the last sync, which begins at most
// Config.SyncInterval (100 ms) after an announcement. Both count from when the
// disk takes what it is given: what waits for a slow or full one is bounded by
// Config.MaxPending, beyond it records are in memory only, and Stats says how
// many. Provider records are announced again every 22 hours, so what was lost
// comes back by itself.
//
// The log is a row of segments, files that are only appended to. A segment is
// deleted whole when all in it is older than a record's validity; a log larger than
// 64 MiB and twice what the last compaction left is compacted in steps, oldest
// segment first.
//
// # Format
//
// A segment begins with 16 bytes: "kdhtplog", the version of the format (1) and a
// CRC-32C of both. Then come frames: a CRC-32C of the rest, the length of the
// payload in 2 bytes, the payload. All numbers are little-endian. No frame crosses
// a multiple of 4,096 bytes; zeros fill what is left. A payload is one of
//
//	1 number uvarint, id, seen uint32, count uvarint, addresses   what a number stands for in this segment
//	2 number uvarint, added uint32, standing uvarint, key         that provider serves key
//	3 the same                                                    and told the addresses it has
//	4 at uint32, id, key                                          the peer with this id no longer serves key
//	5 tick uint32, wall int64, uptime int64, boot                 what time it was
//
// where ids and addresses have a uvarint of their length before them and what
// comes last reaches to the end. Times are ticks, seconds on the store's own
// scale, which goes on while the program runs and by what is known of the time
// between two runs (see mark); standing is how long before added the record was
// first announced, in units of 64 seconds. A provider is written again before the
// second and the eighth of its records, so that a damaged byte takes one record
// away, not all of a provider.
//
// Invariant: whatever state the files are in, Open reads everything in them that
// has its checksum right, and nothing else.
package providerlog
