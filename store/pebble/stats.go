package pebble

import "sync/atomic"

// Stats is what can be told of a store while it runs.
type Stats struct {
	Records int64 // held
	Bytes   int64 // of their values
	Disk    int64 // bytes the directory takes, about
	Memory  int64 // bytes the database holds in memory
	Syncs   uint64
	Retries uint64 // writes the disk refused that were tried again

	// Unreadable counts reads of what is damaged: such a record is not found.
	Unreadable uint64
	// Of a database that was damaged: how many records were saved, and how many blocks,
	// of some 4 KiB, and whole files could not be read. Salvaging: it goes on.
	Salvaged, LostBlocks, LostFiles uint64
	Salvaging                       bool
	// LostBatches is how many batches of changes, one or more puts each, were safe when the
	// store was last closed and are gone: its log has lost its end.
	LostBatches uint64
	// Refused says why writes are refused, nil if they are not.
	Refused error
}

type counters struct {
	syncs, unreadable               atomic.Uint64
	salvaged, lostBlocks, lostFiles atomic.Uint64
	lostBatches                     atomic.Uint64
}

// Stats returns the figures of now.
func (kv *KV) Stats() Stats {
	t := kv.totals.Load()
	s := Stats{
		Records: t.records, Bytes: t.bytes,
		Syncs: kv.stats.syncs.Load(), Retries: kv.health.retries.Load(),
		Unreadable: kv.stats.unreadable.Load(), Refused: kv.health.failure(),
		Salvaged: kv.stats.salvaged.Load(), LostBlocks: kv.stats.lostBlocks.Load(), LostFiles: kv.stats.lostFiles.Load(),
		LostBatches: kv.stats.lostBatches.Load(),
	}
	select {
	case <-kv.damage.saved:
	default:
		s.Salvaging = true
	}
	kv.life.RLock()
	defer kv.life.RUnlock()
	if kv.db != nil && s.Refused == nil {
		m := kv.db.Metrics()
		s.Disk = int64(m.DiskSpaceUsage())
		s.Memory = m.BlockCache.Size + int64(m.MemTable.Size+m.MemTable.ZombieSize)
	}
	return s
}
