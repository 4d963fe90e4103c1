package main

// The numbers of Tidegate's deliberate differences from Argo Rollouts, in the
// table of src/README.md.
const (
	oneSampleIsANumber      = "1"
	missingDataNeverPasses  = "2"
	abortDuringPromotion    = 5
	stuckPodsMayGo          = 12
	missingDataIsTold       = "13"
	costIsBounded           = "14"
	retryIsWaitedFor        = 15
	unservedFunctions       = "28"
	argumentsFillTexts      = 29
	givenArgumentsReplace   = 30
	stepsEndWithTheirCounts = 31
	thresholdIsCapped       = 32
	typesAreSeenLate        = "33"
)
