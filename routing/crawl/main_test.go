package crawl_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Whatever a crawl has started has ended when it returns.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
