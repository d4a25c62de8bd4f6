package httpapi

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// One client cannot hold all the places with requests that take long; this machine, where
// a proxy may be, can.
func TestClientsShareThePlaces(t *testing.T) {
	turn, let := newTurnstile(), make(chan struct{})
	began := make(chan struct{}, maxSearches)
	h := turn.over(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { began <- struct{}{}; <-let }))
	var group sync.WaitGroup
	ask := func(from string) (status func() int) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", RoutingPath, nil)
		r.RemoteAddr = from
		done := make(chan struct{})
		group.Go(func() { defer close(done); h.ServeHTTP(w, r) })
		return func() int {
			select {
			case <-done:
				return w.Code
			case <-began:
				return 0
			}
		}
	}
	for i := range clientSearches {
		if got := ask("192.0.2.1:1")(); got != 0 {
			t.Fatalf("the %d-th request: %d", i, got)
		}
	}
	if got := ask("192.0.2.1:2")(); got != http.StatusTooManyRequests {
		t.Errorf("more than a share: %d", got)
	}
	if got := ask("192.0.2.2:1")(); got != 0 {
		t.Errorf("another client: %d", got)
	}
	for i := clientSearches + 1; i < maxSearches; i++ {
		if got := ask("127.0.0.1:1")(); got != 0 {
			t.Fatalf("the %d-th request, from this machine: %d", i, got)
		}
	}
	if got := ask("192.0.2.3:1")(); got != http.StatusServiceUnavailable {
		t.Errorf("more than there are places: %d", got)
	}
	close(let)
	group.Wait()
	if len(turn.inside) != 0 || len(turn.places) != 0 {
		t.Errorf("%d clients and %d places are still counted", len(turn.inside), len(turn.places))
	}
	h.ServeHTTP(httptest.NewRecorder(), func() *http.Request { // a place that was given back can be taken
		r := httptest.NewRequest("GET", RoutingPath, nil)
		r.RemoteAddr = "192.0.2.1:3"
		return r
	}())
}
