package dashboard

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht/cmd/node/internal/control"
	"github.com/kdht/kdht/cmd/node/internal/overlay"
	"github.com/kdht/kdht/routing"
)

// A real node shows whom it is connected to, what it keeps and how often it was asked for it.
func TestRealNode(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o, err := overlay.Start(ctx, overlay.Config{Count: 4, Prefix: "/board"})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	s := Of(o.Nodes[0])
	r := newRecorder()
	stop, err := s.WatchLookups(r.add)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	stored, err := s.Put(ctx, control.PutRequest{Value: []byte("shown")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range o.Nodes[1:] {
		if _, err := n.Get(ctx, control.GetRequest{Key: stored.Key}, nil); err != nil {
			t.Fatal(err)
		}
	}
	rows, total := s.PeerRows(2)
	if len(rows) != 2 || total != 3 || rows[0].Agent != "kdht" || !rows[0].Connected || rows[0].Transport != "tcp" || rows[0].Direction == "" || len(rows[0].Addrs) == 0 || rows[0].Bucket < 0 {
		t.Errorf("%d peers: %+v", total, rows)
	}
	records, err := s.RecordRows(ctx, 10, 100)
	if err != nil || len(records.Rows) != 1 || !records.All || records.Rows[0].Served == 0 || records.Rows[0].Namespace != "imm" || records.Rows[0].Expires <= records.Rows[0].Put {
		t.Errorf("records %+v (%v)", records, err)
	}
	if len(records.Namespaces) != 1 || records.Namespaces[0].Values != 1 || records.Namespaces[0].Served != records.Rows[0].Served {
		t.Errorf("namespaces %+v", records.Namespaces)
	}
	if none, err := s.RecordRows(ctx, 0, 0); err != nil || none.All || none.Scanned != 0 {
		t.Errorf("of none: %+v (%v)", none, err)
	}
	if terms := s.Terms(); terms.K != 20 || terms.Probe <= terms.Suspect {
		t.Errorf("terms %+v", terms)
	}
	for { // a put may return before its last holder has answered
		r.mu.Lock()
		ended := len(r.order) > 0 && r.order[0].End != nil
		r.mu.Unlock()
		if ended {
			break
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			t.Fatal("the put does not end")
		}
	}
	told := r.news()
	if len(told) == 0 || !strings.HasPrefix(told[0].Key, "/imm/") || told[0].Type != "PUT_VALUE" || told[0].End == nil || len(told[0].End.Holders) != 3 {
		t.Errorf("lookups %+v", told)
	}
	stored0 := 0
	for _, step := range told[0].Steps {
		if step.Kind == routing.StepAsking && step.Type == "PUT_VALUE" {
			stored0++
		}
		if step.Kind == routing.StepAsking && told[0].Peers[step.Peer].Distance < 200 {
			t.Errorf("%+v is impossibly near", told[0].Peers[step.Peer])
		}
	}
	if stored0 != 3 {
		t.Errorf("%d requests that store", stored0)
	}
}
