// Package log takes the ACME client's logger, which stays silent.
package log

import "log/slog"

// SetDefault does nothing.
func SetDefault(*slog.Logger) {}
