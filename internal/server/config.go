package server

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/receipt"
)

// Config is what a [Server] serves, and its limits. The first three are
// required; a zero number selects its default.
type Config struct {
	Gate    Gate
	Records Records
	Ledger  Ledger

	// Verify are the options with which POST /v1/verify checks receipts. Its
	// AllowSelfAsserted is set per request.
	Verify receipt.Options

	// Clients returns the API clients at the moment. A request with a key is made by
	// its client; what its scopes do not allow is forbidden. nil: there are none.
	Clients func() *principal.Registry

	// Now is the clock by which API keys expire. nil: that of the system.
	Now func() time.Time

	// KeysOnly refuses, as unauthenticated, requests without a key for anything but
	// the public log: receipts, claims, epochs, checkpoint, tiles, status.
	KeysOnly bool

	// ReadOnly refuses, as forbidden, what would issue or accept.
	ReadOnly bool

	// Host reports whether a request with this Host header is answered; others are
	// forbidden. nil: all are answered. See [Hosts].
	Host func(host string) bool

	// Limits are the quotas. nil: there are none.
	Limits Limits

	// RateLimit has answers carry the fields RateLimit and RateLimit-Policy: every answer
	// to a client with an API key, and a refusal by a quota to others.
	RateLimit bool

	// Observe is called once for every request, when it has been answered. nil: reports
	// are dropped.
	Observe func(telemetry.Request)

	// Log receives internal errors with their causes, never anything a client
	// sent. nil: they are dropped.
	Log *slog.Logger

	// Resolve returns the source of a request from the peer of its connection and its
	// header. nil: the peer itself, which is local if its address is a loopback one.
	Resolve func(peer netip.Addr, h http.Header) limit.Source

	// Peers bounds the connections of each peer. nil: 32 of one, and no bound for this
	// machine.
	Peers Peers

	MaxConns    int           // open connections, those without a request included; default 2,048
	MaxRequests int           // slots, of which each lane has a part; half as many requests may wait for long; default 256
	MaxVerify   int           // receipts verified at once; default half of the processors
	BodyTimeout time.Duration // time for a whole body to arrive; default 10 s
	WorkTimeout time.Duration // time for the work on a request beside the wait it asked for; default 20 s
	PushWait    time.Duration // time for the outcome of a push without preference; default api.MaxWait seconds
}

// Timeouts and sizes of the connection that need no setting.
const (
	headerTimeout = 5 * time.Second
	writeTimeout  = 20 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
	statusPlaces  = 16 // slots for requests of the status; no other request takes these slots
	connsEach     = 32 // connections of one address
)

// Bounds of bodies and answers on their way.
const (
	maxBodies     = 32 << 20               // announced bytes in all
	maxBodiesEach = 4 << 20                // of one source
	pieceSize     = 16 << 10               // bytes that are read or written at once; a shorter answer takes no room
	firstByte     = 2 * time.Second        // for the first bytes of a body
	leastSpeed    = 4 << 10                // bytes a second, from then on
	lingering     = time.Second            // for the rest of the body of a refused request
	glimpse       = 500 * time.Microsecond // for a short one, before the refusal is sent
)

// departure is the pace at which a client must read an answer.
var departure = pace{first: 5 * time.Second, least: leastSpeed, most: 2 * time.Minute}

// arrival returns the pace of a body.
func (c *Config) arrival() pace {
	return pace{first: firstByte, least: leastSpeed, most: c.BodyTimeout}
}

// The defaults of the bounds, and the least connections.
const (
	mostConns    = 2048
	mostRequests = 256
	leastConns   = 32

	// LeastDescriptors is the least number that [Config.Fit] accepts.
	LeastDescriptors = leastConns * 5 / 4
)

// Fit derives MaxConns and MaxRequests from a number of descriptors: one for
// each connection, and one for each request that holds a slot, which may read a
// file of the log. There is one request for four connections. It returns false,
// and sets nothing, if the descriptors are too few.
func (c *Config) Fit(descriptors int) bool {
	if descriptors < LeastDescriptors {
		return false
	}
	c.MaxConns = min(mostConns, descriptors*4/5)
	c.MaxRequests = min(mostRequests, c.MaxConns/4)
	return true
}

func (c Config) withDefaults() Config {
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Clients == nil {
		none := principal.NewRegistry(nil, nil)
		c.Clients = func() *principal.Registry { return none }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Host == nil {
		c.Host = func(string) bool { return true }
	}
	if c.Resolve == nil {
		c.Resolve = directPeer
	}
	if c.Peers == nil {
		c.Peers = limit.NewConns(connsEach)
	}
	if c.Observe == nil {
		c.Observe = func(telemetry.Request) {}
	}
	c.MaxConns = positive(c.MaxConns, mostConns)
	c.MaxRequests = positive(c.MaxRequests, mostRequests)
	c.MaxVerify = positive(c.MaxVerify, runtime.GOMAXPROCS(0)/2, 1)
	c.BodyTimeout = positive(c.BodyTimeout, 10*time.Second)
	c.WorkTimeout = positive(c.WorkTimeout, 20*time.Second)
	c.PushWait = positive(c.PushWait, api.MaxWait*time.Second)
	return c
}

// positive returns the first positive value.
func positive[T int | time.Duration](values ...T) T {
	return values[max(0, slices.IndexFunc(values, func(v T) bool { return v > 0 }))]
}

// HTTPServer wraps a handler in an http.Server whose timeouts, header limit and
// number of connections match it, and a function that returns how many connections
// are open. The caller serves a listener with it and shuts it down.
func HTTPServer(cfg Config, h http.Handler) (s *http.Server, connections func() int) {
	cfg = cfg.withDefaults()
	onlyHTTP1 := new(http.Protocols)
	onlyHTTP1.SetHTTP1(true)
	open := newConns(cfg.MaxConns, cfg.Peers)
	return &http.Server{
		Handler:           h,
		Protocols:         onlyHTTP1,
		ReadHeaderTimeout: headerTimeout,
		// The guard shortens it per answer; this one covers answers that bypass the
		// guard.
		WriteTimeout: headerTimeout + cfg.BodyTimeout + cfg.WorkTimeout + api.MaxWait*time.Second + writeTimeout,
		IdleTimeout:  idleTimeout,
		// The library adds 4096 to it.
		MaxHeaderBytes:               maxHeader - 4096,
		DisableGeneralOptionsHandler: true,
		ConnState:                    open.changed,
		ConnContext:                  open.context,
		ErrorLog:                     slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}, open.count
}
