package server

import (
	"net/http"
	"time"

	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Limits decides how much a source may ask for. Its methods may be called from any
// goroutine. [limit.Limits] has the contract.
type Limits interface {
	// Admit decides about one request and charges it. The claim is "", and the cost 0 for
	// the usual one of the class.
	Admit(now time.Time, s limit.Source, c limit.Class, claim string, cost int) limit.Decision
	// AdmitClaim is what remains of Admit once the claim of an admitted request is known.
	AdmitClaim(now time.Time, c limit.Class, claim string) limit.Decision
	// Failed charges a failed validation.
	Failed(now time.Time, s limit.Source)
}

// admit charges the request to its source. A client is charged by its key; a key that is
// not valid leaves the request to its address.
func (e *exchange) admit() error {
	if e.who.Kind == principal.APIClient {
		e.source.Client = e.who.Client
	}
	if e.s.cfg.Limits == nil {
		return nil
	}
	return e.decided(e.s.cfg.Limits.Admit(e.s.cfg.Now(), e.source, e.op.class, "", 0))
}

// admitClaim charges the request to its claim.
func (e *exchange) admitClaim(claim string) error {
	if e.s.cfg.Limits == nil {
		return nil
	}
	d := e.s.cfg.Limits.AdmitClaim(e.s.cfg.Now(), e.op.class, claim)
	if d.OK { // what is left of the claim would show the traffic of others
		return nil
	}
	return e.decided(d)
}

// decided returns the refusal of a decision.
func (e *exchange) decided(d limit.Decision) error {
	if e.s.cfg.RateLimit && (!d.OK || e.source.Client != "") {
		setRateLimit(e.w.Header(), d)
	}
	if d.OK {
		return nil
	}
	return &later{usedUp[d.Scope], d.RetryAfter}
}

// usedUp are the refusals by quotas, indexed by scope.
var usedUp = func() (all []error) {
	for _, s := range limit.Scopes() {
		all = append(all, protocol.Fail(protocol.CodeRateLimited, "the quota is used up: "+s.String()))
	}
	return all
}()

// later is a refusal that says when to try again.
type later struct {
	error
	after time.Duration
}

// RetryAfter returns the time to wait.
func (l *later) RetryAfter() time.Duration { return l.after }

// Unwrap returns the refusal.
func (l *later) Unwrap() error { return l.error }

// setRateLimit sets the RateLimit fields of a decision.
func setRateLimit(h http.Header, d limit.Decision) {
	if policy, left := limit.Fields(d); policy != "" {
		h.Set("RateLimit-Policy", policy)
		h.Set("RateLimit", left)
	}
}

// failures are the causes that are charged to the budget of failures: what only a client
// that guesses or is broken sends.
var failures = map[telemetry.Cause]bool{
	telemetry.Unauthenticated: true,
	telemetry.UnknownID:       true,
	telemetry.WrongClient:     true,
	telemetry.ForeignTag:      true,
	telemetry.WrongTag:        true,
	telemetry.MalformedProof:  true,
	telemetry.FalseProof:      true,
	telemetry.Replayed:        true,
}

// failed charges a refused request to the budget of failures, if it was one.
func (e *exchange) failed(cause telemetry.Cause) {
	if e.s.cfg.Limits != nil && failures[cause] {
		e.s.cfg.Limits.Failed(e.s.cfg.Now(), e.source)
	}
}
