// Package dashboard is the operator's page: what a node knows, does and refuses,
// live, in a browser, with a box to try things.
//
//	d := dashboard.New(dashboard.Of(node))
//	server.Mount(httpapi.Admin, "/", d)
//
// The page and its scripts are in assets/, made of web/ (see its README) and part
// of the program, so that it works where there is no other network. It reads
// /api/events, a stream of server-sent events, and asks for what changes
// something by POST to /api/<operation> with the header Kdht-Dashboard, which no
// other site's page can send.
//
// The invariants: one collector runs while at least one page is open, and none
// otherwise; whoever reads too slowly is cut off; rows, lookups, steps, bytes and
// readers are all bounded by the constants of this package. Who may ask is not
// decided here: the handler is mounted behind a guard.
package dashboard
