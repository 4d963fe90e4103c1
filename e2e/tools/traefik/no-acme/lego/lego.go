// Package lego is the ACME client, which refuses to be made.
package lego

import (
	"crypto/x509"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

// DirectoryURLLetsEncrypt is the default of Traefik's caServer option.
const DirectoryURLLetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Config configures a Client.
type Config struct {
	CADirURL    string
	UserAgent   string
	HTTPClient  *http.Client
	Certificate CertificateConfig
}

// CertificateConfig configures requests for certificates.
type CertificateConfig struct {
	Timeout time.Duration
}

// NewConfig makes a Config.
func NewConfig(registration.User) *Config { return &Config{} }

// Client is an ACME client; there is none.
type Client struct {
	Certificate  *certificate.Certifier
	Challenge    *Challenges
	Registration *registration.Registrar
}

// NewClient refuses.
func NewClient(*Config) (*Client, error) { return nil, acme.ErrLeftOut }

// CreateCertPool refuses.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, acme.ErrLeftOut }

// Challenges holds no providers.
type Challenges struct{}

// SetDNS01Provider refuses.
func (*Challenges) SetDNS01Provider(challenge.Provider, ...dns01.ChallengeOption) error {
	return acme.ErrLeftOut
}

// SetHTTP01Provider refuses.
func (*Challenges) SetHTTP01Provider(challenge.Provider, ...http01.ChallengeOption) error {
	return acme.ErrLeftOut
}

// SetTLSALPN01Provider refuses.
func (*Challenges) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.ChallengeOption) error {
	return acme.ErrLeftOut
}
