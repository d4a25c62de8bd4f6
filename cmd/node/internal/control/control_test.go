package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOperationsReachTheNode(t *testing.T) {
	_, c := serve(t, &fakeNode{status: func(context.Context) (*Status, error) { return &Status{Mode: "server"}, nil }})
	ctx := t.Context()
	var events []string
	w := func(e Event) {
		switch {
		case e.Hop != nil:
			events = append(events, "hop "+e.Hop.Peer)
		case e.Provider != nil:
			events = append(events, "provider "+e.Provider.ID)
		case e.Record != nil:
			events = append(events, "record "+string(e.Record.Key))
		}
	}
	check := func(name string, got any, err error, want any) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, want)
		}
	}
	status, err := c.Status(ctx)
	check("status", status, err, &Status{Mode: "server"})
	table, err := c.Table(ctx)
	check("table", table, err, &Table{ID: "table"})
	value, err := c.Get(ctx, GetRequest{Key: []byte{0xff, 0}, Quorum: 3}, w)
	check("get", value, err, &Value{Value: []byte{0xff, 0}, Report: Report{Asked: 3}})
	provided, err := c.Provide(ctx, ProvideRequest{CID: "c"}, w)
	check("provide", provided, err, &Provided{Report: Report{Holders: []string{"c"}}})
	providers, err := c.FindProviders(ctx, ProvidersRequest{CID: "p", Count: 2}, w)
	check("find-providers", providers, err, &Providers{Count: 2})
	found, err := c.FindPeer(ctx, PeerRequest{ID: "x"}, w)
	check("find-peer", found, err, &Found{Peer: Peer{ID: "x", Addrs: []string{"/ip4/127.0.0.1/tcp/1"}}})
	closest, err := c.Closest(ctx, ClosestRequest{Key: []byte("k")}, w)
	check("closest", closest, err, &Closest{Peers: []Peer{{ID: "k"}}})
	pong, err := c.Ping(ctx, PingRequest{Peer: Peer{ID: "x", Addrs: []string{"a", "b"}}}, w)
	check("ping", pong, err, &Pong{Millis: 2})
	throttle, err := c.Throttle(ctx, ThrottleRequest{Count: 7})
	check("throttle", throttle, err, &Throttle{Workers: 7})
	near := 2.5
	throttle, err = c.SetThrottle(ctx, SetThrottleRequest{Near: &near})
	check("set-throttle", throttle, err, &Throttle{Limits: Limits{Near: 2.5}})
	released, err := c.Release(ctx, ReleaseRequest{Who: "x"})
	check("release", released, err, &Released{Who: "x", Held: true})
	records, err := c.Records(ctx)
	check("records", records, err, &Records{Values: 7})
	exported, err := c.Export(ctx, w)
	check("export", exported, err, &Exported{Count: 1})
	imported, err := c.Import(ctx, Record{Key: []byte("/v/b"), Value: []byte("2")})
	check("import", imported, err, &Imported{Why: "/v/b"})
	local, err := c.Local(ctx, KeyRequest{Key: []byte{0xff}})
	check("local", local, err, &Record{Key: []byte{0xff}, Value: []byte("1"), Left: 5})
	dropped, err := c.Drop(ctx, KeyRequest{Key: []byte("k")})
	check("drop", dropped, err, &Dropped{Held: true})
	copied, err := c.Backup(ctx, BackupRequest{Dir: "/d"})
	check("backup", copied, err, &BackedUp{Dir: "/d"})
	if want := []string{"provider p", "provider p", "hop x", "record /v/a"}; !reflect.DeepEqual(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	if _, err := c.FindProviders(ctx, ProvidersRequest{CID: "p", Count: 2}, nil); err != nil {
		t.Errorf("events that nobody watches: %v", err)
	}
}

func TestLargestValuePasses(t *testing.T) {
	value := bytes.Repeat([]byte{0xfe}, 4<<20)
	_, c := serve(t, &fakeNode{put: func(_ context.Context, r PutRequest, _ Watch) (*Stored, error) {
		return &Stored{Key: r.Value}, nil
	}})
	stored, err := c.Put(t.Context(), PutRequest{Value: value}, nil)
	if err != nil || !bytes.Equal(stored.Key, value) {
		t.Fatalf("%v", err)
	}
	_, err = c.Put(t.Context(), PutRequest{Value: append(value, value...)}, nil)
	want(t, err, Usage, "more than")
}

func TestErrorsKeepKindAndReport(t *testing.T) {
	var fail error
	_, c := serve(t, &fakeNode{put: func(context.Context, PutRequest, Watch) (*Stored, error) { return nil, fail }})
	for _, kind := range []Kind{Failed, Usage, NotFound, NoPeers, Timeout} {
		fail = fmt.Errorf("wrapped: %w", &Error{Kind: kind, Message: "because", Report: &Report{Asked: 7}})
		_, err := c.Put(t.Context(), PutRequest{}, nil)
		e := want(t, err, kind, "because")
		if e.Report == nil || e.Report.Asked != 7 {
			t.Errorf("%s: report %+v", kind, e.Report)
		}
	}
	fail = errors.New("kdht: put: store: odd\nand more")
	_, err := c.Put(t.Context(), PutRequest{}, nil)
	if e := want(t, err, Failed, "put: odd"); e.Message != "put: odd" {
		t.Errorf("message %q", e.Message)
	}
}

func TestTimeoutIsTheNodes(t *testing.T) {
	_, c := serve(t, &fakeNode{put: func(ctx context.Context, _ PutRequest, _ Watch) (*Stored, error) {
		<-ctx.Done()
		return nil, &Error{Kind: Timeout, Message: "as the node says it"}
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := c.Put(ctx, PutRequest{}, nil)
	want(t, err, Timeout, "as the node says it")
}

func TestLeavingCallsTheOperationOff(t *testing.T) {
	running, ended := make(chan struct{}), make(chan error, 1)
	_, c := serve(t, &fakeNode{put: func(ctx context.Context, _ PutRequest, _ Watch) (*Stored, error) {
		close(running)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-running
		cancel()
	}()
	_, err := c.Put(ctx, PutRequest{}, nil)
	want(t, err, Interrupted, "")
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the node's operation ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the node's operation goes on")
	}
}

func TestClosingEndsOperations(t *testing.T) {
	running := make(chan struct{})
	s, c := serve(t, &fakeNode{put: func(ctx context.Context, _ PutRequest, _ Watch) (*Stored, error) {
		close(running)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-running
		s.Close()
	}()
	_, err := c.Put(t.Context(), PutRequest{}, nil)
	want(t, err, Failed, "ended before")
	if <-closed; Alive(c.path) {
		t.Error("the socket outlives its server")
	}
}

func TestTooManyAtOnce(t *testing.T) {
	release := make(chan struct{})
	var running sync.WaitGroup
	running.Add(maxAtOnce)
	_, c := serve(t, &fakeNode{
		put: func(context.Context, PutRequest, Watch) (*Stored, error) {
			running.Done()
			<-release
			return &Stored{}, nil
		},
		status: func(context.Context) (*Status, error) { return &Status{}, nil },
	})
	var calls sync.WaitGroup
	for range maxAtOnce {
		calls.Go(func() {
			if _, err := c.Put(context.Background(), PutRequest{}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	_, err := c.Status(t.Context())
	want(t, err, Failed, "try again")
	close(release)
	calls.Wait()
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	_, c := serve(t, &fakeNode{})
	for _, bad := range []struct{ method, path, body, want string }{
		{"POST", "/v1/get", `{"key":"!"}`, "does not parse"},
		{"POST", "/v1/get", `{"unknown":1}`, "does not parse"},
		{"POST", "/v1/get", `{} {}`, "more than one"},
		{"POST", "/v1/get", ``, "does not parse"},
		{"POST", "/v1/nonsense", `{}`, "no operation"},
		{"GET", "/v1/get", ``, "no operation"},
		{"POST", "/v1/get", `{"key":"` + strings.Repeat("A", maxRequest) + `"}`, "more than"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), bad.method, "http://kdht"+bad.path, strings.NewReader(bad.body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.http.Do(r)
		if err != nil {
			t.Errorf("%s %s: %v", bad.method, bad.path, err)
			continue
		}
		_, err = readAnswer[Value](answer.Body, nil)
		answer.Body.Close()
		want(t, err, Usage, bad.want)
	}
}

func TestAnswersOfStrangers(t *testing.T) {
	for text, says := range map[string]string{
		"hello\n":                          "does not parse",
		strings.Repeat("x", maxLine+1):     "more than",
		`{"error":{"kind":"not_found"}}`:   "",
		"{}\n{}\n" + `{"event":{}}` + "\n": "EOF",
		"":                                 "EOF",
	} {
		_, err := readAnswer[Value](strings.NewReader(text), func(Event) {})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.20q: %v, want %q", text, err, says)
		}
	}
}

// want checks an error's kind and that its line says something.
func want(t *testing.T, err error, k Kind, says string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an Error of kind %s", err, k)
	}
	if e.Kind != k || !strings.Contains(e.Message, says) || strings.Contains(e.Message, "\n") {
		t.Errorf("got %s %q, want %s and one line with %q", e.Kind, e.Message, k, says)
	}
	return e
}
