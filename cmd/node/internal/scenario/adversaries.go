package scenario

// adversaries is who works against the others, and how (sim.Adversaries).
type adversaries struct {
	Eclipse   eclipse   `toml:"eclipse"`
	Misdirect misdirect `toml:"misdirect"`
	Poison    poison    `toml:"poison"`
	Flood     flood     `toml:"flood"`
}

type eclipse struct {
	Sybils  int     `toml:"sybils" in:"0 16384"`
	Keys    int     `toml:"keys" in:"0 16384"`
	Active  bool    `toml:"active"`
	Always  bool    `toml:"always"`
	Subnets int     `toml:"subnets" in:"0 16384"`
	Reach   int     `toml:"reach" in:"0 16384"`
	Share   float64 `toml:"share" in:"0 1"`
}

type misdirect struct {
	Share     float64 `toml:"share" in:"0 0.99"`
	Live      float64 `toml:"live" in:"0 1"`
	Peers     int     `toml:"peers" in:"0 1000"`
	Addrs     int     `toml:"addrs" in:"0 100"`
	Addresses bool    `toml:"addresses"`
	Mutual    bool    `toml:"mutual"`
}

type poison struct {
	Sybils  int      `toml:"sybils" in:"0 16384"`
	Victims int      `toml:"victims" in:"0 16384"`
	Subnets int      `toml:"subnets" in:"0 16384"`
	Age     duration `toml:"age" in:"0 8784"`
	Mined   bool     `toml:"mined"`
	Every   duration `toml:"every" in:"0 8784"`
	For     duration `toml:"for" in:"0 8784"`
}

type flood struct {
	Flooders int      `toml:"flooders" in:"0 16384"`
	Victims  int      `toml:"victims" in:"0 16384"`
	Rate     float64  `toml:"rate" in:"0 1000000"`
	For      duration `toml:"for" in:"0 8784"`
}

// limits is what members let others ask for (sim.Limits).
type limits struct {
	On        bool    `toml:"on"`
	PerSecond float64 `toml:"per_second" in:"0 1000000"`
	Burst     float64 `toml:"burst" in:"0 1000000"`
	Subnets   bool    `toml:"subnets"`
}
