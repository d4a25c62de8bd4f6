package httpapi

import (
	"io"
	"net/http"
	"time"
)

// touchTimeout is how long a node that lives may take to say so.
const touchTimeout = 2 * time.Second

// Alive answers 200 while touch, which asks the node something, returns. It asks
// once at a time, however many want to know.
func Alive(touch func()) http.Handler {
	ask := inTurn(func() (none struct{}) { touch(); return none })
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, ok := ask(); ok {
			plain(w, http.StatusOK, "ok")
		} else {
			stuck(w)
		}
	})
}

// inTurn returns a function that calls ask, once at a time however many want to know,
// and returns its answer, or false if there is none in touchTimeout.
func inTurn[T any](ask func() T) func() (T, bool) {
	asking := make(chan struct{}, 1)
	return func() (answer T, ok bool) {
		tooLate := time.After(touchTimeout)
		select {
		case asking <- struct{}{}:
		case <-tooLate:
			return answer, false
		}
		answered := make(chan T, 1)
		go func() {
			defer func() { <-asking }()
			answered <- ask()
		}()
		select {
		case answer = <-answered:
			return answer, true
		case <-tooLate:
			return answer, false
		}
	}
}

func stuck(w http.ResponseWriter) {
	Refuse(w, http.StatusServiceUnavailable, "the node does not answer within %v: restart it, and keep what it logs", touchTimeout)
}

// Ready answers 200 or 503, and why. It asks as Alive does.
func Ready(ready func() (ok bool, why string)) http.Handler {
	type answer struct {
		ok  bool
		why string
	}
	ask := inTurn(func() (a answer) { a.ok, a.why = ready(); return a })
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch a, answered := ask(); {
		case !answered:
			stuck(w)
		case a.ok:
			plain(w, http.StatusOK, a.why)
		default:
			Refuse(w, http.StatusServiceUnavailable, "not ready: %s", a.why)
		}
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
