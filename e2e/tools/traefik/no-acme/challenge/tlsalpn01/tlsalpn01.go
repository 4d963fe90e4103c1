// Package tlsalpn01 has the options of the TLS challenge.
package tlsalpn01

import (
	"time"

	"github.com/go-acme/lego/v5/acme"
)

// ACMETLS1Protocol is the name an ACME server negotiates.
const ACMETLS1Protocol = "acme-tls/1"

// ChallengeOption does nothing.
type ChallengeOption struct{}

// SetDelay does nothing.
func SetDelay(time.Duration) ChallengeOption { return ChallengeOption{} }

// ChallengeBlocks refuses to make the challenge's certificate.
func ChallengeBlocks(string, string) ([]byte, []byte, error) { return nil, nil, acme.ErrLeftOut }
