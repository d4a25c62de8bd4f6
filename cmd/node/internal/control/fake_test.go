package control

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNode answers with what its fields say.
type fakeNode struct {
	Node
	put    func(context.Context, PutRequest, Watch) (*Stored, error)
	status func(context.Context) (*Status, error)
}

func (f *fakeNode) Put(ctx context.Context, r PutRequest, w Watch) (*Stored, error) {
	return f.put(ctx, r, w)
}
func (f *fakeNode) Status(ctx context.Context) (*Status, error) { return f.status(ctx) }
func (f *fakeNode) Table(context.Context) (*Table, error)       { return &Table{ID: "table"}, nil }

func (f *fakeNode) Get(_ context.Context, r GetRequest, _ Watch) (*Value, error) {
	return &Value{Value: r.Key, Report: Report{Asked: r.Quorum}}, nil
}

func (f *fakeNode) Provide(_ context.Context, r ProvideRequest, _ Watch) (*Provided, error) {
	return &Provided{Report: Report{Holders: []string{r.CID}}}, nil
}

func (f *fakeNode) FindProviders(_ context.Context, r ProvidersRequest, w Watch) (*Providers, error) {
	for range r.Count {
		w(Event{Provider: &Peer{ID: r.CID}})
	}
	return &Providers{Count: r.Count}, nil
}

func (f *fakeNode) FindPeer(_ context.Context, r PeerRequest, w Watch) (*Found, error) {
	w(Event{Hop: &Hop{Step: "asking", Peer: r.ID, Hop: 1}})
	return &Found{Peer: Peer{ID: r.ID, Addrs: []string{"/ip4/127.0.0.1/tcp/1"}}}, nil
}

func (f *fakeNode) Closest(_ context.Context, r ClosestRequest, _ Watch) (*Closest, error) {
	return &Closest{Peers: []Peer{{ID: string(r.Key)}}}, nil
}

func (f *fakeNode) Ping(_ context.Context, r PingRequest, _ Watch) (*Pong, error) {
	return &Pong{Millis: float64(len(r.Addrs))}, nil
}

func (f *fakeNode) Throttle(_ context.Context, r ThrottleRequest) (*Throttle, error) {
	return &Throttle{Workers: r.Count}, nil
}

func (f *fakeNode) SetThrottle(_ context.Context, r SetThrottleRequest) (*Throttle, error) {
	return &Throttle{Limits: Limits{Near: *r.Near}}, nil
}

func (f *fakeNode) Release(_ context.Context, r ReleaseRequest) (*Released, error) {
	return &Released{Who: r.Who, Held: true}, nil
}

func (f *fakeNode) Records(context.Context) (*Records, error) { return &Records{Values: 7}, nil }

func (f *fakeNode) Export(_ context.Context, w Watch) (*Exported, error) {
	w(Event{Record: &Record{Key: []byte("/v/a"), Value: []byte("1")}})
	return &Exported{Count: 1}, nil
}

func (f *fakeNode) Import(_ context.Context, r Record) (*Imported, error) {
	return &Imported{Taken: string(r.Value) == "1", Why: string(r.Key)}, nil
}

func (f *fakeNode) Local(_ context.Context, r KeyRequest) (*Record, error) {
	return &Record{Key: r.Key, Value: []byte("1"), Left: 5}, nil
}

func (f *fakeNode) Drop(_ context.Context, r KeyRequest) (*Dropped, error) {
	return &Dropped{Held: len(r.Key) > 0}, nil
}

func (f *fakeNode) Backup(_ context.Context, r BackupRequest) (*BackedUp, error) {
	return &BackedUp{Dir: r.Dir}, nil
}

// socketPath is a path for a socket, short enough for every system.
func socketPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "s")
}

// serve serves n and returns a client of it; both end with the test.
func serve(t *testing.T, n Node) (*Server, *Client) {
	t.Helper()
	path := socketPath(t)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, n)
	t.Cleanup(func() { s.Close() })
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, c
}

// patience bounds what a test waits for that should come at once.
const patience = 20 * time.Second
