// Package acme and its neighbours stand in for the ACME library in a Traefik
// that never asks for a certificate: the real one links the client of every DNS
// provider there is, which is most of Traefik's build. What would need it says so.
package acme

import "errors"

// ErrLeftOut is the answer of everything that would need the ACME library.
var ErrLeftOut = errors.New("this Traefik is built without ACME")

// Account is an ACME account.
type Account struct {
	Status  string   `json:"status,omitempty"`
	Contact []string `json:"contact,omitempty"`
}

// ExtendedAccount is an ACME account and where it lives.
type ExtendedAccount struct {
	Account

	Location string `json:"accountURL,omitempty"`
}
