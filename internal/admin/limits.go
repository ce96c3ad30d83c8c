package admin

import "time"

// Timeouts and sizes of a connection.
const (
	idleTimeout = time.Minute
	maxHeader   = 16 << 10
)
