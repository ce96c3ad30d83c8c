package limit

import (
	"net/netip"
	"time"
)

// Source is who makes a request.
type Source struct {
	Addr   netip.Addr // as a [Resolver] returns it
	Client string     // of a valid API key, otherwise ""
	Local  bool       // a process of this machine, without a proxy between
}

// Class is a group of endpoints with quotas of its own.
type Class uint8

// The classes. Health is never limited.
const (
	Health  Class = iota
	Read          // receipts, claims, epochs, the log
	Issue         // new challenges and pushed events
	Submit        // proofs
	Verify        // receipts to be verified
	classes = iota
)

// String returns the word for the class in settings and metrics.
func (c Class) String() string {
	if words := [classes]string{"health", "read", "issue", "submit", "verify"}; int(c) < len(words) {
		return words[c]
	}
	return "unknown"
}

// validates reports whether requests of the class can fail a validation.
func (c Class) validates() bool { return c != Health && c != Read }

// Scope is what a quota is about.
type Scope uint8

// The scopes. The first four are those of addresses, from the narrowest.
const (
	Address      Scope = iota // IPv4 /32, IPv6 /64
	Subnet                    // /24, /56
	Network                   // /16, /48
	Provider                  // IPv6 /32
	Client                    // an API client
	ClientDay                 // an API client, over a long time
	Claim                     // all requests for a claim
	Total                     // all requests of a class
	Global                    // all requests
	Failures                  // failed validations of a source
	PenaltyScope              // a block by the automatic response
	NoAddress                 // the source has no address
	scopes       = iota
)

// String returns the word for the scope in metrics and log lines.
func (s Scope) String() string {
	words := [scopes]string{
		"address", "subnet", "network", "provider", "client", "client_day", "claim", "class", "global", "failures", "penalty", "no_address",
	}
	if int(s) < len(words) {
		return words[s]
	}
	return "unknown"
}

// Scopes lists every scope, for metrics that name them.
func Scopes() []Scope {
	all := make([]Scope, scopes)
	for i := range all {
		all[i] = Scope(i)
	}
	return all
}

// Decision is what [Limits.Admit] decides about one request.
type Decision struct {
	OK         bool
	RetryAfter time.Duration // greater than 0 if the request is refused

	// Scope is that of the quota which refused, or of the narrowest one if the
	// request is admitted. The other fields are about this quota, for the RateLimit
	// fields; they are zero if there is none.
	Scope Scope
	Quota Quota
	Left  int           // units or requests that are left now
	Reset time.Duration // until the whole quota is available again
}

// bits are the lengths of the prefixes that have quotas, from the narrowest.
var (
	bits4 = []int{32, 24, 16}
	bits6 = []int{64, 56, 48, 32}
)

// prefixBits returns the lengths of the prefixes of an address that have quotas.
func prefixBits(a netip.Addr) []int {
	if a.Is4() {
		return bits4
	}
	return bits6
}

// plain returns an address without a zone, and as IPv4 if it is one in IPv6 form.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
