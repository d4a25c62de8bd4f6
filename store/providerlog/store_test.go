package providerlog

import (
	"testing"

	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/storetest"
)

func TestProviders(t *testing.T) {
	storetest.Providers(t, func(tb testing.TB, cfg store.ProvidersConfig) store.Providers {
		return opened(tb, newMemDisk(), Config{Providers: cfg})
	})
}
