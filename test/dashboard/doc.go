// Package dashboard tests the dashboard as its operator meets it: a browser opens the page of
// a `kdht run --http` that is one of twenty nodes. See README.md.
package dashboard
