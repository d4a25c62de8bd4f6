// Package tracing tells OpenTelemetry what DHTs do: a span for each operation that asks
// other peers, in that of its caller, with an event for each step of its lookup.
//
//	dht, err := kdht.New(h, kdht.Traced(tracing.OpenTelemetry(otel.Tracer("kdht"))))
//
// It links OpenTelemetry's API, not its SDK: where spans go is the program's choice. A
// span has the attributes kdht.network, kdht.peer and kdht.key.hash, and when it ends
// kdht.asked, kdht.answered, kdht.failed, kdht.holders, kdht.hops, and kdht.joined or
// kdht.recalled where another's lookup has given the answer. The events are named
// asking, answered, slow and failed, and say which peer; kdht.stores is the type of a
// request that gives a record.
//
// The invariant: a span has at most maxEvents events, and nothing is made of a step whose
// span is not recorded.
package tracing

import (
	"context"
	"encoding/hex"
	"sync/atomic"

	"github.com/kdht/kdht/protocol/keyspace"
	"github.com/kdht/kdht/routing"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// maxEvents bounds the events of a span; a lookup of k = 20 has about sixty steps.
const maxEvents = 256

type eventsKey struct{}

// OpenTelemetry returns a Trace that makes spans with t.
func OpenTelemetry(t trace.Tracer) *routing.Trace {
	return &routing.Trace{
		Began: func(ctx context.Context, op *routing.Operation) context.Context { return began(ctx, t, op) },
		Step:  step,
		Ended: ended,
	}
}

func began(ctx context.Context, t trace.Tracer, op *routing.Operation) context.Context {
	ctx, span := t.Start(ctx, "kdht."+string(op.Kind), trace.WithSpanKind(trace.SpanKindClient))
	if !span.IsRecording() {
		return ctx
	}
	key := keyspace.KeyOfString(string(op.Key)) // keys may tell what somebody looks for
	span.SetAttributes(
		attribute.String("kdht.network", string(op.DHT.Protocol())),
		attribute.String("kdht.peer", op.DHT.ID().String()),
		attribute.String("kdht.key.hash", hex.EncodeToString(key[:])),
	)
	return context.WithValue(ctx, eventsKey{}, new(atomic.Int32))
}

func step(ctx context.Context, _ *routing.Operation, s routing.LookupStep) {
	events, ok := ctx.Value(eventsKey{}).(*atomic.Int32)
	if !ok || s.Kind == routing.StepBegan || s.Kind == routing.StepEnded || events.Add(1) > maxEvents {
		return
	}
	var of []attribute.KeyValue
	if s.Peer != nil {
		of = append(of, attribute.String("kdht.peer", s.Peer.ID.String()))
	}
	switch s.Kind {
	case routing.StepAsking:
		of = append(of, attribute.Int("kdht.hop", s.Hop))
		if s.Storing {
			of = append(of, attribute.String("kdht.stores", s.Type.String()))
		}
	case routing.StepAnswered:
		of = append(of, attribute.Int("kdht.closer", len(s.Closer)))
	case routing.StepFailed:
		of = append(of, attribute.String("kdht.cause", s.Err.Error()))
	}
	trace.SpanFromContext(ctx).AddEvent(string(s.Kind), trace.WithTimestamp(s.At), trace.WithAttributes(of...))
}

func ended(ctx context.Context, _ *routing.Operation, r routing.Report, err error) {
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(
		attribute.Int("kdht.asked", r.Asked), attribute.Int("kdht.answered", r.Answered), attribute.Int("kdht.failed", r.Failed.Total()),
		attribute.Int("kdht.holders", len(r.Holders)), attribute.Int("kdht.hops", r.Hops),
	)
	if r.Joined {
		span.SetAttributes(attribute.Bool("kdht.joined", true))
	}
	if r.Recalled {
		span.SetAttributes(attribute.Bool("kdht.recalled", true))
	}
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
