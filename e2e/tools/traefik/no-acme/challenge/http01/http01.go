// Package http01 has the options of the HTTP challenge.
package http01

import "time"

// PathPrefix is where an ACME server looks for the answer.
const PathPrefix = "/.well-known/acme-challenge/"

// ChallengeOption does nothing.
type ChallengeOption struct{}

// SetDelay does nothing.
func SetDelay(time.Duration) ChallengeOption { return ChallengeOption{} }
