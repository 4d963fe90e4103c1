// Package challenge is what answers an ACME server's challenges.
package challenge

import "context"

// Provider answers one kind of challenge.
type Provider interface {
	Present(ctx context.Context, domain, token, keyAuth string) error
	CleanUp(ctx context.Context, domain, token, keyAuth string) error
}
