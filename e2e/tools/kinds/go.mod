module tidegate.dev/e2e/tools/kinds

go 1.26.0

// No program is built of these: only their CRDs are taken.
require (
	github.com/openshift/api v0.0.0-20251015095338-264e80a2b6e7
	// The version that Traefik, the gateway, is built with.
	sigs.k8s.io/gateway-api v1.6.1
)
