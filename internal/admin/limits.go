package admin

import "time"

// Timeouts and sizes of a connection.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 15 * time.Second // the head of the request included
	writeTimeout  = 20 * time.Second
	idleTimeout   = time.Minute
	maxHeader     = 16 << 10
	maxBody       = 64 << 10

	workTimeout   = 30 * time.Second // unless the action has another one
	recordTimeout = time.Second      // for the row of a refused request
	closeGrace    = 2 * time.Second
	tickEvery     = time.Second
)
