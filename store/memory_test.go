package store_test

import (
	"testing"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.KV(t, func(testing.TB) store.KV { return store.NewMemory() })
}

func TestValues(t *testing.T) {
	storetest.Values(t, func(_ testing.TB, rules record.Validator, cfg store.ValuesConfig) store.Values {
		return store.NewValues(store.NewMemory(), rules, cfg)
	})
}

func TestProviders(t *testing.T) {
	storetest.Providers(t, func(_ testing.TB, cfg store.ProvidersConfig) store.Providers {
		return store.NewProviders(cfg)
	})
}
