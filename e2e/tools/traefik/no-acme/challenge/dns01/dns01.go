// Package dns01 has the options of the DNS challenge and one function on names.
package dns01

import (
	"strings"
	"time"
)

// ChallengeOption does nothing.
type ChallengeOption struct{}

// Options configures a Client.
type Options struct {
	RecursiveNameservers []string
}

// Client asks no name server.
type Client struct{}

// NewClient makes a Client.
func NewClient(*Options) *Client { return &Client{} }

// SetDefaultClient does nothing.
func SetDefaultClient(*Client) {}

// LazyCondOption does nothing.
func LazyCondOption(bool, func() ChallengeOption) ChallengeOption { return ChallengeOption{} }

// CombineOptions does nothing.
func CombineOptions(...ChallengeOption) ChallengeOption { return ChallengeOption{} }

// CondOptions does nothing.
func CondOptions(bool, ...ChallengeOption) ChallengeOption { return ChallengeOption{} }

// DisableAuthoritativeNssPropagationRequirement does nothing.
func DisableAuthoritativeNssPropagationRequirement() ChallengeOption { return ChallengeOption{} }

// DisableRecursiveNSsPropagationRequirement does nothing.
func DisableRecursiveNSsPropagationRequirement() ChallengeOption { return ChallengeOption{} }

// PropagationWait does nothing.
func PropagationWait(time.Duration, bool) ChallengeOption { return ChallengeOption{} }

// UnFqdn cuts the dot that ends a fully qualified name.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
