package mutation

import "strings"

// Kind is what kind of test something is.
type Kind string

// The kinds of tests, in the order in which a bug meets them.
const (
	Story      Kind = "story"      // a transcript in testdata
	Property   Kind = "property"   // holds over random inputs, or against a model
	FuzzSeed   Kind = "fuzz seed"  // the inputs a fuzz target starts from
	Simulation Kind = "simulation" // many nodes in one process
	Other      Kind = "other"      // tests of single cases, recorded vectors
)

// suites says of what kind the tests of a package are; what is not named is Other,
// or a fuzz seed by its name.
var suites = map[string]map[Kind]string{
	"protocol/keyspace": {
		Property: "TestDistanceAgainstBigIntegers",
	},
	"protocol": {
		Property: "TestRoundTrips|TestReferenceAgrees|TestCloneAndPrecode|TestTrimBounds|TestSplitP2PAgreesWithLibrary|TestAddrTextAgreesWithLibrary",
	},
	"protocol/rpc": {
		Property: "TestLimiterAgainstOracle|TestLimiterWindows|TestClientWhateverPeersDo|TestTableIsAnLRU",
	},
	"store": {
		Property: "TestProviderInvariants|TestValueInvariants",
	},
	"routing/kademlia": {
		Story:    "TestScenarios",
		Property: "TestDisjointPaths|TestFasterOfTwoTakesThePlace|TestAnswersLoseTheSurplusOnly|TestSharedLookups|TestCacheAgainstModel|TestKeysAreDueInOrder|TestDeadlinesInOrder|TestLookupFindsTheClosestLiving|TestTableInvariants|TestViewNamesTheClosestInOrder",
		Simulation: "TestThousandNodes|TestRegion|TestNetworkSize|TestStoreAndFindAcrossTheNetwork|TestDeadPeersCostRequestsNotReplicas|TestTablesForgetTheDead|" +
			"TestOutageEmptiesNoTable|TestNewcomersMeet|TestRefreshRounds|TestMissingIsBelievedForSecondsOnly|TestFarBucketsFillRoundByRound|TestRefreshAskedForKeepsRounds|TestSameSeedSameRun",
	},
	"routing/sim": {
		Simulation: "TestCalmNetwork|TestEveryFaultAtOnce|TestSameSeedSameRun|TestPromiseOfChurn|TestPromiseOfPartition|TestPromiseOfTarpits|TestBesideTheBaseline|TestAttacks|TestRecordsInACalmNetwork",
	},
}

// tooLong are tests that no bug is put before: TestThousandNodes alone takes longer
// than all else.
const tooLong = "TestThousandNodes"

// stages are the kinds that a bug is put before together, one stage after another.
var stages = [][]Kind{{Story, Property, FuzzSeed}, {Simulation}, {Other}}

// kindOf says of what kind a test of a package is.
func kindOf(pkg, test string) Kind {
	for kind, names := range suites[pkg] {
		if named(names, test) {
			return kind
		}
	}
	if strings.HasPrefix(test, "Fuzz") {
		return FuzzSeed
	}
	return Other
}

// named reports whether test is one of names, which are separated by bars.
func named(names, test string) bool {
	for name := range strings.SplitSeq(names, "|") {
		if name == test {
			return true
		}
	}
	return false
}

// selection returns the arguments of go test that pick the tests of some kinds
// from a package; nil if it has none of them.
func selection(pkg string, kinds []Kind) []string {
	var named []string
	for _, kind := range kinds {
		switch names := suites[pkg][kind]; {
		case kind == Other:
			return []string{"-run=^(Test|Example)", "-skip=" + exactly(append(allNamed(pkg), tooLong))}
		case kind == FuzzSeed:
			named = append(named, "Fuzz.*")
		case names != "":
			named = append(named, names)
		}
	}
	if named == nil {
		return nil
	}
	return []string{"-run=" + exactly(named), "-skip=" + exactly([]string{tooLong})}
}

func allNamed(pkg string) (all []string) {
	for _, kind := range []Kind{Story, Property, Simulation} {
		if names := suites[pkg][kind]; names != "" {
			all = append(all, names)
		}
	}
	return all
}

func exactly(names []string) string { return "^(" + strings.Join(names, "|") + ")$" }
