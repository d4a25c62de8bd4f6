package tracing_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kdht/kdht/host/build"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/tracing"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tracer keeps the spans that it makes.
type tracer struct {
	noop.Tracer
	blind bool // records nothing

	mu    sync.Mutex
	spans []*span
}

func (r *tracer) Start(ctx context.Context, name string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	parent, _ := trace.SpanFromContext(ctx).(*span)
	s := &span{tracer: r, name: name, parent: parent, attrs: make(map[string]attribute.Value), events: make(map[string]int)}
	r.spans = append(r.spans, s)
	return trace.ContextWithSpan(ctx, s), s
}

type span struct {
	noop.Span
	tracer *tracer
	name   string
	parent *span

	attrs  map[string]attribute.Value
	events map[string]int
	status codes.Code
	ended  int
}

func (s *span) IsRecording() bool { return !s.tracer.blind }
func (s *span) End(...trace.SpanEndOption) {
	s.tracer.mu.Lock()
	defer s.tracer.mu.Unlock()
	s.ended++
}

func (s *span) SetStatus(c codes.Code, _ string) { s.status = c }
func (s *span) SetAttributes(all ...attribute.KeyValue) {
	for _, kv := range all {
		s.attrs[string(kv.Key)] = kv.Value
	}
}

func (s *span) AddEvent(name string, opts ...trace.EventOption) {
	s.tracer.mu.Lock()
	defer s.tracer.mu.Unlock()
	s.events[name]++
	c := trace.NewEventConfig(opts...)
	if c.Timestamp().IsZero() || len(c.Attributes()) == 0 {
		s.events["bare "+name]++
	}
}

func TestSpans(t *testing.T) {
	r := &tracer{}
	ctx, d := overlay(t, r)
	outer := &span{tracer: r}
	if _, err := d.GetValue(trace.ContextWithSpan(ctx, outer), "/imm/"+strings.Repeat("0", 64)); !errors.Is(err, routing.ErrNotFound) {
		t.Fatal(err)
	}
	if len(r.spans) != 1 {
		t.Fatalf("%d spans", len(r.spans))
	}
	s := r.spans[0]
	if s.name != "kdht.get_value" || s.parent != outer || s.ended != 1 || s.status != codes.Error {
		t.Errorf("the span %+v", s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := map[string]int{"asking": 2, "answered": 2}; !maps.Equal(s.events, want) {
		t.Errorf("events %v, want %v", s.events, want)
	}
	for name, want := range map[string]string{"kdht.network": string(d.Protocol()), "kdht.peer": d.ID().String(), "kdht.asked": "2", "kdht.answered": "2", "kdht.failed": "0"} {
		if got := s.attrs[name]; got.String() != want {
			t.Errorf("%s is %q, want %q", name, got.String(), want)
		}
	}
	if hash := s.attrs["kdht.key.hash"].AsString(); len(hash) != 64 || slices.Contains(slices.Collect(maps.Keys(s.attrs)), "kdht.key") {
		t.Errorf("the key is told: %v", s.attrs)
	}
}

// Where a span is not recorded, nothing is made of its steps.
func TestSpansThatAreNotRecorded(t *testing.T) {
	r := &tracer{blind: true}
	ctx, d := overlay(t, r)
	if _, err := d.GetClosestPeers(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	if s := r.spans[0]; len(s.events) != 0 || s.ended != 1 {
		t.Errorf("%+v", s)
	}
}

// overlay returns a DHT that knows two others, traced by r.
func overlay(t *testing.T, r trace.Tracer) (context.Context, *routing.DHT) {
	t.Helper()
	var first []peer.AddrInfo
	var last *routing.DHT
	for i := range 3 {
		h, err := build.New(build.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		cfg := routing.Config{BootstrapPeers: first}
		if i == 2 {
			cfg.Trace = []*routing.Trace{tracing.OpenTelemetry(r)}
		}
		if last, err = routing.New(h, cfg); err != nil {
			t.Fatal(err)
		}
		d := last
		t.Cleanup(func() { d.Close() })
		if first = append(first, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); i > 0 {
			if err := d.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := last.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return t.Context(), last
}
