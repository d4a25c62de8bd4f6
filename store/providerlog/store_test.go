package providerlog_test

import (
	"testing"

	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/providerlog"
	"github.com/kdht/kdht/store/storetest"
)

func TestProviders(t *testing.T) {
	storetest.Providers(t, func(tb testing.TB, cfg store.ProvidersConfig) store.Providers {
		s, err := providerlog.Open(tb.TempDir(), providerlog.Config{Providers: cfg})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	})
}
