package routing

import (
	"testing"

	"go.uber.org/goleak"
)

// Whatever a test has started has ended when it ends: DHTs, hosts, sockets.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
