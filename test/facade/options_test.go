// Package facade holds the tests of the root package, whose folder has no room
// for them: that every option does what its name says, and that the example
// programs run.
package facade

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kdht/kdht"
	"github.com/kdht/kdht/protocol"
	"github.com/kdht/kdht/protocol/profile"
	"github.com/kdht/kdht/routing"
	"github.com/kdht/kdht/routing/amino"
	"github.com/kdht/kdht/store"
	"github.com/kdht/kdht/store/keystore"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const somePeer = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWPuZhWXKTyy1gZxypoCuxDfzGCj9CtmisgttDjyrrjEeZ"

func TestOptions(t *testing.T) {
	info, err := peer.AddrInfoFromString(somePeer)
	if err != nil {
		t.Fatal(err)
	}
	own, keys := store.NewMemory(), keystore.New()
	values, providers := store.NewValues(store.NewMemory(), store.Imm{}, store.ValuesConfig{}), store.NewProviders(store.ProvidersConfig{})
	for name, c := range map[string]struct {
		option kdht.Option
		set    func(c *routing.Config) bool
	}{
		"Mode":      {kdht.Mode(kdht.ModeClient), func(c *routing.Config) bool { return c.Mode == routing.ModeClient }},
		"ModeDelay": {kdht.ModeDelay(-1), func(c *routing.Config) bool { return c.Serving.ModeDelay < 0 }},
		"ProtocolPrefix": {kdht.ProtocolPrefix("/x"), func(c *routing.Config) bool {
			return c.Protocol == "/x/kad/1.0.0" && c.JSONProtocol == "/x/kad/json/1.0.0"
		}},
		"ProtocolExtension":  {kdht.ProtocolExtension("/lan"), func(c *routing.Config) bool { return c.Protocol == "/kdht/lan/kad/1.0.0" }},
		"V1ProtocolOverride": {kdht.V1ProtocolOverride("/y"), func(c *routing.Config) bool { return c.Protocol == "/y" && c.JSONProtocol == "" }},
		"Format":             {kdht.Format("/f", protocol.JSON), func(c *routing.Config) bool { return c.Serving.Formats["/f"] == protocol.JSON }},
		"BucketSize":         {kdht.BucketSize(7), func(c *routing.Config) bool { return c.K == 7 }},
		"Concurrency":        {kdht.Concurrency(7), func(c *routing.Config) bool { return c.Alpha == 7 }},
		"DisableLookupCache": {kdht.DisableLookupCache(), func(c *routing.Config) bool { return c.Timing.Cache < 0 }},
		"DisjointPaths":      {kdht.DisjointPaths(4), func(c *routing.Config) bool { return c.Paths == 4 }},
		"StrictLookups":      {kdht.StrictLookups(), func(c *routing.Config) bool { return c.Strict }},
		"FarBuckets":         {kdht.FarBuckets(512), func(c *routing.Config) bool { return c.FarBuckets == 512 }},
		"Resiliency":         {kdht.Resiliency(7), func(c *routing.Config) bool { return c.Beta == 7 }},
		"BootstrapPeers":     {kdht.BootstrapPeers(*info), func(c *routing.Config) bool { return c.BootstrapPeers[0].ID == info.ID }},
		"BootstrapAddrs":     {kdht.BootstrapAddrs(somePeer), func(c *routing.Config) bool { return c.BootstrapPeers[0].ID == info.ID }},
		"BootstrapPeersFunc": {kdht.BootstrapPeersFunc(func() []peer.AddrInfo { return []peer.AddrInfo{*info} }), func(c *routing.Config) bool { return len(c.BootstrapPeersFunc()) == 1 }},
		"Validator":          {kdht.Validator(store.Imm{}), func(c *routing.Config) bool { return c.Validator == store.Imm{} }},
		"NamespacedValidator": {kdht.NamespacedValidator("n", store.Imm{}), func(c *routing.Config) bool {
			all := c.Validator.(store.Namespaces)
			return len(all) == 4 && all["n"] == store.Imm{}
		}},
		"DisableValues":             {kdht.DisableValues(), func(c *routing.Config) bool { return c.DisableValues }},
		"DisableProviders":          {kdht.DisableProviders(), func(c *routing.Config) bool { return c.DisableProviders }},
		"ValueStore":                {kdht.ValueStore(values), func(c *routing.Config) bool { return c.Stores.Values == values }},
		"ProviderStore":             {kdht.ProviderStore(providers), func(c *routing.Config) bool { return c.Stores.Providers == providers }},
		"KeyStore":                  {kdht.KeyStore(keys), func(c *routing.Config) bool { return c.Stores.Keys == keys }},
		"PublishedStore":            {kdht.PublishedStore(own), func(c *routing.Config) bool { return c.Stores.Own == own }},
		"Region":                    {kdht.Region(kdht.RegionAlways), func(c *routing.Config) bool { return c.Stores.Region == routing.RegionAlways }},
		"RoutingTableFile":          {kdht.RoutingTableFile("table"), func(c *routing.Config) bool { return c.Stores.Table != nil }},
		"MaxRecordAge":              {kdht.MaxRecordAge(time.Hour), func(c *routing.Config) bool { return c.Stores.MaxAge == time.Hour }},
		"MaxValueSize":              {kdht.MaxValueSize(7), func(c *routing.Config) bool { return c.Stores.MaxValue == 7 }},
		"RoutingTableRefreshPeriod": {kdht.RoutingTableRefreshPeriod(time.Hour), func(c *routing.Config) bool { return c.Timing.Refresh == time.Hour }},
		"DisableAutoRefresh":        {kdht.DisableAutoRefresh(), func(c *routing.Config) bool { return c.Timing.Refresh < 0 }},
		"OnRequestHook":             {kdht.OnRequestHook(func(protocol.Remote, *protocol.Message) {}), func(c *routing.Config) bool { return c.Serving.OnRequest != nil }},
		"RequestRate": {kdht.RequestRate(7, 8), func(c *routing.Config) bool {
			return c.Serving.Limit.PerPeer.PerSecond == 7 && c.Serving.Limit.PerPeer.Burst == 8
		}},
		"AddressProfile":     {kdht.AddressProfile(kdht.ProfileLAN), func(c *routing.Config) bool { return c.Filters.Profile == profile.LAN }},
		"AddressFilter":      {kdht.AddressFilter(func(a []multiaddr.Multiaddr) []multiaddr.Multiaddr { return a }), func(c *routing.Config) bool { return c.Filters.Addresses != nil }},
		"SubnetDiversity":    {kdht.SubnetDiversity(), func(c *routing.Config) bool { return c.Filters.Subnets }},
		"QueryFilter":        {kdht.QueryFilter(func(peer.AddrInfo) bool { return true }), func(c *routing.Config) bool { return c.Filters.Query != nil }},
		"RoutingTableFilter": {kdht.RoutingTableFilter(func(peer.AddrInfo) bool { return true }), func(c *routing.Config) bool { return c.Filters.Table != nil }},
	} {
		cfg, err := kdht.Configure(c.option)
		if err != nil || !c.set(&cfg) {
			t.Errorf("%s: %v, made %+v", name, err, cfg)
		}
	}
}

func TestOptionsRefuse(t *testing.T) {
	for want, o := range map[string][]kdht.Option{
		`"x"`:                        {kdht.ProtocolPrefix("x")},
		`"/x/"`:                      {kdht.ProtocolPrefix("/x/")},
		"the whole protocol id /y":   {kdht.V1ProtocolOverride("/y"), kdht.ProtocolExtension("/lan")},
		"the whole protocol id /z":   {kdht.ProtocolPrefix("/x"), kdht.V1ProtocolOverride("/z")},
		`Extension "lan"`:            {kdht.ProtocolExtension("lan")},
		`Extension ""`:               {kdht.ProtocolExtension("")},
		`Override ""`:                {kdht.V1ProtocolOverride("")},
		`Override "y"`:               {kdht.V1ProtocolOverride("y")},
		"option 2 of 2 is nil":       {kdht.DisableValues(), nil},
		"use Preset(amino.Config())": {kdht.ProtocolPrefix("/ipfs")},
		"of all IPFS nodes":          {kdht.Preset(routing.Config{Protocol: "/x/kad/1.0.0"}), kdht.ProtocolPrefix("/ipfs"), kdht.ProtocolExtension("/lan")},
		"bucket size, kinds of":      {kdht.BucketSize(7), kdht.Preset(amino.Config())},
		"leave their options out":    {kdht.Preset(amino.LANConfig()), kdht.NamespacedValidator("n", store.Imm{})},
		"are the same for all":       {kdht.Preset(amino.LANConfig()), kdht.Validator(store.Imm{})},
		"and subsystems are":         {kdht.Preset(amino.Config()), kdht.DisableProviders()},
		"Concurrency is 257":         {kdht.Concurrency(257)},
		"Resiliency is 257":          {kdht.Resiliency(257)},
		"MaxRecordAge is 0s":         {kdht.MaxRecordAge(0)},
		"RequestRate(0, 5)":          {kdht.RequestRate(0, 5)},
		"RequestRate(5, -1)":         {kdht.RequestRate(5, -1)},
		"there is no profile 9":      {kdht.AddressProfile(9)},
		"BucketSize is 0":            {kdht.BucketSize(0)},
		"DisjointPaths is 9":         {kdht.DisjointPaths(9)},
		"FarBuckets is 4097":         {kdht.FarBuckets(4097)},
		"Concurrency is -1":          {kdht.Concurrency(-1)},
		"Resiliency is 0":            {kdht.Resiliency(0)},
		"MaxValueSize is 0":          {kdht.MaxValueSize(0)},
		"RoutingTableFile has":       {kdht.RoutingTableFile("")},
		"RoutingTableRefreshPeriod":  {kdht.RoutingTableRefreshPeriod(0)},
		"/p2p/<peer id>":             {kdht.BootstrapAddrs("/ip4/127.0.0.1/tcp/4001")},
		"without slashes":            {kdht.NamespacedValidator("/n/", store.Imm{})},
		"cannot be added":            {kdht.Validator(store.Imm{}), kdht.NamespacedValidator("n", store.Imm{})},
	} {
		if _, err := kdht.Configure(o...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want an error that says %q", err, want)
		}
	}
}

// The order of options that belong together does not matter.
func TestOptionsInAnyOrder(t *testing.T) {
	rules := store.Namespaces{"own": store.Imm{}}
	for name, c := range map[string]struct {
		options []kdht.Option
		set     func(c *routing.Config) bool
	}{
		"prefix and extensions": {
			[]kdht.Option{kdht.ProtocolExtension("/a"), kdht.ProtocolPrefix("/x"), kdht.ProtocolExtension("/b")},
			func(c *routing.Config) bool {
				return strings.Count(string(c.Protocol), "/") == 5 && c.JSONProtocol != ""
			},
		},
		"validator and namespace": {
			[]kdht.Option{kdht.Validator(rules), kdht.NamespacedValidator("n", store.Imm{})},
			func(c *routing.Config) bool { return len(c.Validator.(store.Namespaces)) == 2 },
		},
		"no end of age": {
			[]kdht.Option{kdht.MaxRecordAge(-1), kdht.RequestRate(-1, 0)},
			func(c *routing.Config) bool { return c.Stores.MaxAge < 0 && c.Serving.Limit.PerPeer.PerSecond < 0 },
		},
	} {
		for range 2 {
			cfg, err := kdht.Configure(c.options...)
			if err != nil || !c.set(&cfg) {
				t.Errorf("%s: %v, made %+v", name, err, cfg)
			}
			slices.Reverse(c.options)
		}
	}
}

// A preset is what the other options change, wherever it stands.
func TestPresets(t *testing.T) {
	private := kdht.AddressProfile(kdht.ProfilePrivate)
	naming := routing.Config{BootstrapPeersFunc: func() []peer.AddrInfo { return nil }}
	for name, c := range map[string]struct {
		options []kdht.Option
		set     func(c *routing.Config) bool
	}{
		"amino": {[]kdht.Option{kdht.Preset(amino.Config())}, func(c *routing.Config) bool {
			return c.Protocol == "/ipfs/kad/1.0.0" && c.JSONProtocol == "" && c.Mode == routing.ModeAuto && len(c.BootstrapPeers) == 5 &&
				c.Filters.Profile == profile.Public && c.Serving.Limit.Subnets && c.Serving.Limit.PerPeer.PerSecond == 100
		}},
		"lan": {[]kdht.Option{kdht.Preset(amino.LANConfig())}, func(c *routing.Config) bool {
			return c.Protocol == "/ipfs/lan/kad/1.0.0" && c.Mode == routing.ModeServer && len(c.BootstrapPeers) == 0 && c.Filters.Profile == profile.LAN
		}},
		"changed": {[]kdht.Option{kdht.Mode(kdht.ModeServer), private, kdht.BootstrapAddrs(somePeer), kdht.Preset(amino.Config())}, func(c *routing.Config) bool {
			return c.Mode == routing.ModeServer && len(c.BootstrapPeers) == 1 && c.Filters.Profile == profile.Private && c.Protocol == "/ipfs/kad/1.0.0"
		}},
		"nobody to begin with": {[]kdht.Option{kdht.Preset(amino.Config()), kdht.BootstrapPeers()}, func(c *routing.Config) bool {
			return len(c.BootstrapPeers) == 0 && c.Serving.Limit.Subnets
		}},
		"those who name others": {[]kdht.Option{kdht.Preset(naming), kdht.Mode(kdht.ModeClient)}, func(c *routing.Config) bool { return c.BootstrapPeersFunc != nil }},
		"nobody names others":   {[]kdht.Option{kdht.BootstrapPeers(), kdht.Preset(naming)}, func(c *routing.Config) bool { return c.BootstrapPeersFunc == nil }},
		"extension": {[]kdht.Option{kdht.ProtocolExtension("/lan"), kdht.Preset(amino.Config())}, func(c *routing.Config) bool {
			return c.Protocol == "/ipfs/lan/kad/1.0.0" && c.JSONProtocol == ""
		}},
		"prefix": {[]kdht.Option{kdht.Preset(amino.Config()), kdht.ProtocolPrefix("/x"), kdht.BucketSize(7), kdht.NamespacedValidator("n", store.Imm{})}, func(c *routing.Config) bool {
			return c.Protocol == "/x/kad/1.0.0" && c.K == 7 && len(c.Validator.(store.Namespaces)) == 3
		}},
		"override": {[]kdht.Option{kdht.V1ProtocolOverride("/ipfs/kad/1.0.0"), kdht.BucketSize(7)}, func(c *routing.Config) bool {
			return c.Protocol == "/ipfs/kad/1.0.0" && c.K == 7
		}},
	} {
		cfg, err := kdht.Configure(c.options...)
		if err != nil || !c.set(&cfg) {
			t.Errorf("%s: %v, made %+v", name, err, cfg)
		}
	}
	if preset := amino.Config(); len(preset.BootstrapPeers) != 5 || len(preset.Validator.(store.Namespaces)) != 2 {
		t.Errorf("a preset was changed: %+v", preset)
	}
}
