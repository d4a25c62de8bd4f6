package rpc

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/kdht/kdht/protocol"
	"github.com/libp2p/go-libp2p/core/network"
)

func TestSendAll(t *testing.T) {
	limited := &network.StreamError{Remote: true, ErrorCode: network.StreamResourceLimitExceeded}
	answer := func(s *fakeStream, _ []byte) { s.send(framed(provide("x"))...) }
	nth := 0
	for _, tc := range []struct {
		name    string
		n       int
		request func(*fakeStream, []byte)
		closed  func(*fakeStream)
		taken   int
		streams int
		want    error
	}{
		{"all on one stream", 50, nil, func(s *fakeStream) { s.finish(io.EOF) }, 50, 1, nil},
		{"one", 1, nil, func(s *fakeStream) { s.finish(io.EOF) }, 1, 1, nil},
		{"each answered", 50, answer, func(s *fakeStream) { s.finish(io.EOF) }, 50, 1, nil},
		{"some answered, then held back", 50, func(s *fakeStream, b []byte) {
			if nth++; nth <= 7 {
				answer(s, b)
			}
		}, func(s *fakeStream) { s.finish(limited) }, 7, 1, protocol.ErrRefused},
		{"held back", 50, nil, func(s *fakeStream) { s.finish(limited) }, 0, 1, protocol.ErrRefused},
		{"one stream each", 5, nil, func(s *fakeStream) {
			if s.peers.fresh == 1 {
				s.finish(errRemoteReset)
			} else {
				s.finish(io.EOF)
			}
		}, 5, 6, nil},
		{"reset without a reason", 5, nil, func(s *fakeStream) { s.finish(errRemoteReset) }, 0, 4, protocol.ErrRefused},
		{"one answered on each stream", 5, func(s *fakeStream, b []byte) {
			if len(s.in) == 0 && s.end == nil {
				answer(s, b)
				s.finish(io.EOF)
			}
		}, nil, 5, 5, nil},
		{"some answered, then closed", 50, func(s *fakeStream, b []byte) {
			if nth++; nth <= 7 || nth > 50 {
				answer(s, b)
			}
		}, func(s *fakeStream) { s.finish(io.EOF) }, 50, 44, nil},
		{"silence", 5, nil, nil, 0, 1, protocol.ErrTimeout},
		{"answered too often", 2, func(s *fakeStream, b []byte) { answer(s, b); answer(s, b) }, nil, 2, 1, protocol.ErrMalformed},
		{"another answer", 5, func(s *fakeStream, _ []byte) { s.send(framed(find("x"))...) }, nil, 0, 1, protocol.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peers := &fakePeers{request: tc.request, closed: tc.closed}
				c := NewClient(protocol.Protobuf, peers, ClientConfig{})
				nth = 0
				taken, err := c.SendAll(t.Context(), "p", tc.n, func(i int) *protocol.Message { return provide(fmt.Sprint(i)) })
				if tc.want != nil {
					wantOne(t, err, tc.want)
				} else if err != nil {
					t.Fatal(err)
				}
				if taken != tc.taken || peers.fresh != tc.streams {
					t.Errorf("%d taken on %d streams, want %d on %d", taken, peers.fresh, tc.taken, tc.streams)
				}
				if got := counted(c.Stats().Types[protocol.AddProvider])[nil]; int(got) != tc.taken {
					t.Errorf("%d counted as taken", got)
				}
			})
		})
	}
}
