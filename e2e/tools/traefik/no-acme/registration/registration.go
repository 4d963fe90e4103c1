// Package registration describes accounts, none of which is registered.
package registration

import (
	"context"
	"crypto"

	"github.com/go-acme/lego/v5/acme"
)

// User is who would be registered.
type User interface {
	GetEmail() string
	GetRegistration() *acme.ExtendedAccount
	GetPrivateKey() crypto.Signer
}

// RegisterOptions asks for an account.
type RegisterOptions struct {
	TermsOfServiceAgreed bool
}

// RegisterEABOptions asks for an account bound to another one.
type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid                  string
	HmacEncoded          string
}

// Registrar registers nobody.
type Registrar struct{}

// Register refuses.
func (*Registrar) Register(context.Context, RegisterOptions) (*acme.ExtendedAccount, error) {
	return nil, acme.ErrLeftOut
}

// RegisterWithExternalAccountBinding refuses.
func (*Registrar) RegisterWithExternalAccountBinding(context.Context, RegisterEABOptions) (*acme.ExtendedAccount, error) {
	return nil, acme.ErrLeftOut
}
