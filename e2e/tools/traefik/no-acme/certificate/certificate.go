// Package certificate describes requests for certificates, none of which is served.
package certificate

import (
	"context"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certcrypto"
)

// Resource is a certificate with its key.
type Resource struct {
	ID          string
	Domains     []string
	PrivateKey  []byte
	Certificate []byte
}

// ObtainRequest asks for a certificate.
type ObtainRequest struct {
	Domains        []string
	KeyType        certcrypto.KeyType
	NotBefore      time.Time
	NotAfter       time.Time
	Bundle         bool
	MustStaple     bool
	EmailAddresses []string
	Profile        string
	PreferredChain string

	EnableCommonName bool
}

// RenewOptions asks for a certificate again.
type RenewOptions struct {
	NotBefore      time.Time
	NotAfter       time.Time
	Bundle         bool
	PreferredChain string
	Profile        string
	EmailAddresses []string
	MustStaple     bool

	EnableCommonName bool
}

// Certifier obtains no certificates.
type Certifier struct{}

// Obtain refuses.
func (*Certifier) Obtain(context.Context, ObtainRequest) (*Resource, error) {
	return nil, acme.ErrLeftOut
}

// Renew refuses.
func (*Certifier) Renew(context.Context, Resource, *RenewOptions) (*Resource, error) {
	return nil, acme.ErrLeftOut
}
