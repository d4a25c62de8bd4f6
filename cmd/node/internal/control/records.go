package control

import (
	"context"
	"net/http"
)

// Keeper is the part of Node that is about the records it keeps itself: nobody else
// is asked.
type Keeper interface {
	// Records counts what is kept.
	Records(ctx context.Context) (*Records, error)
	// Export tells w every value, in the order of the keyspace.
	Export(ctx context.Context, w Watch) (*Exported, error)
	// Import keeps a value under its namespace's rules, as a put of another peer's
	// would be; a better one that is there stays.
	Import(ctx context.Context, r Record) (*Imported, error)
	// Local returns the value kept under a key.
	Local(ctx context.Context, r KeyRequest) (*Record, error)
	// Drop forgets the value under a key here, and puts it again no longer.
	Drop(ctx context.Context, r KeyRequest) (*Dropped, error)
	// Backup writes a copy of what is kept on disk into a directory of its machine.
	Backup(ctx context.Context, r BackupRequest) (*BackedUp, error)
}

// Records is what a node keeps.
type Records struct {
	// Dir is the directory, empty if all is in memory.
	Dir string `json:"dir"`
	// Values are counted in all and by namespace; Bytes is what they are charged for.
	Values     int         `json:"values"`
	Bytes      int64       `json:"bytes"`
	Namespaces []Namespace `json:"namespaces"`
	Providers  int         `json:"providers"` // provider records
	Publishing int         `json:"publishing"`
	// Snapshot is how many peers the table's snapshot holds.
	Snapshot int `json:"snapshot"`
	// Disk is how the files are, nil if all is in memory.
	Disk *Disk `json:"disk,omitempty"`
}

// Disk is what was found wrong with a node's files since it started.
type Disk struct {
	// Unreadable counts the places, of some 4 KiB each, and the files that could not be read.
	Unreadable uint64 `json:"unreadable"`
	// Lost counts what is known to be gone: provider records, and writes of values that
	// were safe when the node ended.
	Lost uint64 `json:"lost"`
	// Saved counts the values saved from what was damaged; Saving says that it goes on.
	Saved  uint64 `json:"saved"`
	Saving bool   `json:"saving"`
	// Refused says why values cannot be written, empty if they can.
	Refused string `json:"refused,omitempty"`
}

// Namespace counts the values whose keys begin with /<Name>/: Bytes those of keys and
// values; Oldest is the age of the one put longest ago, Next when the first will have
// been kept for long enough, in seconds; 0: never.
type Namespace struct {
	Name   string  `json:"namespace"`
	Values int     `json:"values"`
	Bytes  int64   `json:"bytes"`
	Oldest float64 `json:"oldest_s"`
	Next   float64 `json:"next_expiry_s"`
}

// Record is one value: how long ago it was put, and how long it will still be kept, in
// seconds; 0: for ever.
type Record struct {
	// Name is the key as people write it, if it is text.
	Name  string  `json:"name,omitempty"`
	Key   []byte  `json:"key"`
	Value []byte  `json:"value"`
	Age   float64 `json:"age_s"`
	Left  float64 `json:"left_s"`
}

// Exported is the outcome of Export.
type Exported struct {
	Count int `json:"count"`
}

// Imported says whether a value was taken, and if not, why.
type Imported struct {
	Taken bool   `json:"taken"`
	Why   string `json:"why,omitempty"`
}

// KeyRequest names a value.
type KeyRequest struct {
	Key []byte `json:"key"`
}

// Dropped says whether there was anything to forget.
type Dropped struct {
	Held bool `json:"held"`
}

// BackupRequest names an absolute directory that is empty or does not exist.
type BackupRequest struct {
	Dir string `json:"dir"`
}

// BackedUp is the outcome of Backup.
type BackedUp struct {
	Dir    string `json:"dir"`
	Values int    `json:"values"`
}

// Records implements Keeper.
func (c *Client) Records(ctx context.Context) (*Records, error) {
	return call[Records](ctx, c, "records", struct{}{}, nil)
}

// Export implements Keeper.
func (c *Client) Export(ctx context.Context, w Watch) (*Exported, error) {
	return call[Exported](ctx, c, "export", struct{}{}, w)
}

// Import implements Keeper.
func (c *Client) Import(ctx context.Context, r Record) (*Imported, error) {
	return call[Imported](ctx, c, "import", r, nil)
}

// Local implements Keeper.
func (c *Client) Local(ctx context.Context, r KeyRequest) (*Record, error) {
	return call[Record](ctx, c, "local", r, nil)
}

// Drop implements Keeper.
func (c *Client) Drop(ctx context.Context, r KeyRequest) (*Dropped, error) {
	return call[Dropped](ctx, c, "drop", r, nil)
}

// Backup implements Keeper.
func (c *Client) Backup(ctx context.Context, r BackupRequest) (*BackedUp, error) {
	return call[BackedUp](ctx, c, "backup", r, nil)
}

// keeperRoutes routes the operations of Keeper.
func (s *Server) keeperRoutes(mux *http.ServeMux, n Keeper) {
	handle(s, mux, "records", func(ctx context.Context, _ struct{}, _ Watch) (*Records, error) { return n.Records(ctx) })
	handle(s, mux, "export", func(ctx context.Context, _ struct{}, w Watch) (*Exported, error) { return n.Export(ctx, w) })
	handle(s, mux, "import", func(ctx context.Context, r Record, _ Watch) (*Imported, error) { return n.Import(ctx, r) })
	handle(s, mux, "local", func(ctx context.Context, r KeyRequest, _ Watch) (*Record, error) { return n.Local(ctx, r) })
	handle(s, mux, "drop", func(ctx context.Context, r KeyRequest, _ Watch) (*Dropped, error) { return n.Drop(ctx, r) })
	handle(s, mux, "backup", func(ctx context.Context, r BackupRequest, _ Watch) (*BackedUp, error) { return n.Backup(ctx, r) })
}
