// Command attack attacks a kdht node on this machine's loopback; see package
// hostile.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/kdht/kdht/test/hostile"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := hostile.Command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
