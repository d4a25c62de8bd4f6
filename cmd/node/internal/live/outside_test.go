package live

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Who is waited for on several connections has one second for all of them, and as long as
// the caller waits.
func TestAwaitAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never, said := make(chan struct{}), make(chan struct{})
		close(said)
		for _, c := range []struct {
			what  string
			all   []<-chan struct{}
			until time.Duration
			took  time.Duration
		}{
			{"all have said it", []<-chan struct{}{said, said}, time.Hour, 0},
			{"two are silent", []<-chan struct{}{said, never, never}, time.Hour, identifyTime},
			{"the caller goes", []<-chan struct{}{never, never}, identifyTime / 4, identifyTime / 4},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), c.until)
			begun := time.Now()
			awaitAll(ctx, identifyTime, c.all)
			if took := time.Since(begun); took != c.took {
				t.Errorf("%s: %v, want %v", c.what, took, c.took)
			}
			cancel()
		}
	})
}
