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
	asking := make(chan struct{}, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tooLate := time.After(touchTimeout)
		select {
		case asking <- struct{}{}:
		case <-tooLate:
			stuck(w)
			return
		}
		answered := make(chan struct{})
		go func() {
			defer func() { <-asking; close(answered) }()
			touch()
		}()
		select {
		case <-answered:
			plain(w, http.StatusOK, "ok")
		case <-tooLate:
			stuck(w)
		}
	})
}

func stuck(w http.ResponseWriter) {
	Refuse(w, http.StatusServiceUnavailable, "the node does not answer within %v: restart it, and keep what it logs", touchTimeout)
}

// Ready answers 200 or 503, and why.
func Ready(ready func() (ok bool, why string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if ok, why := ready(); ok {
			plain(w, http.StatusOK, why)
		} else {
			Refuse(w, http.StatusServiceUnavailable, "not ready: %s", why)
		}
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
