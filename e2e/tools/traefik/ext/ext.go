// Package ext is the empty extension point that Traefik's own build fills in:
// its dynamic configuration embeds these two types.
package ext

// HTTP extends an HTTP configuration, here by nothing.
type HTTP struct{}

// DeepCopyInto copies the receiver.
func (in *HTTP) DeepCopyInto(out *HTTP) { *out = *in }

// Router extends a router, here by nothing.
type Router struct{}

// DeepCopyInto copies the receiver.
func (in *Router) DeepCopyInto(out *Router) { *out = *in }
