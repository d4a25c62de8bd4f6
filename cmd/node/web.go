package main

import (
	"github.com/spf13/cobra"
)

// webFlags say whether a node serves HTTP, and to whom. What they ask for is in
// web_http.go, or refused by web_none.go in a program built without it.
type webFlags struct {
	addr, tokenFile string
	hosts           []string
	noRouting       bool
	pprof           bool
}

// webFlags adds the flags of a command that runs a node.
func (a *app) webFlags(cmd *cobra.Command, f *webFlags) {
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "http", "", "`ADDR` to serve the dashboard, /metrics, /healthz and /routing/v1 at: on (127.0.0.1:5380, or a free port), a port, or address:port (default: off)")
	flags.StringVar(&f.tokenFile, "http-token-file", "", "`FILE` with the token that the dashboard and /metrics want, made if it does not exist (default: none on loopback, else in the data directory)")
	flags.StringArrayVar(&f.hosts, "http-host", nil, "`name` that the HTTP server is asked by, besides its addresses and localhost (repeatable)")
	flags.BoolVar(&f.noRouting, "http-no-routing", false, "leave out /routing/v1, which web pages of any origin may ask")
	flags.BoolVar(&f.pprof, "http-pprof", false, "serve /debug/pprof as well")
	fromEnv(flags, "http", "KDHT_HTTP")
	fromEnv(flags, "http-token-file", "KDHT_HTTP_TOKEN_FILE")
	_ = cmd.RegisterFlagCompletionFunc("http", cobra.FixedCompletions([]string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp))
}
