package telemetry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/protocol"
)

// Traffic writes the lines of the log about requests: one a minute for each class of
// operations, and one for each request that was refused for a cause that may be an attack
// or a fault. It is a reader of the ring.
type Traffic struct {
	log     *slog.Logger
	private *Pseudonyms // nil: addresses are written

	mu      sync.Mutex // guards what follows
	began   time.Time
	classes map[string]*minute
}

// minute is what the requests of one class have come to.
type minute struct {
	requests int
	codes    map[protocol.Code]int // of the refused ones
	took     Durations
}

// NewTraffic returns a writer of lines. With pseudonyms it writes no address.
func NewTraffic(log *slog.Logger, private *Pseudonyms) *Traffic {
	return &Traffic{log: log, private: private, classes: make(map[string]*minute)}
}

// logged are the causes of refusals that have lines of their own.
var logged = []Cause{
	Unauthenticated, Forbidden, UnknownID, WrongClient, ForeignTag, WrongTag, ForeignEpoch, Replayed, RepeatedAnchor, MalformedProof, FalseProof,
	Disagreement, ProverLate, ProverWrong, ProverWrongTag, Slow, Fault,
}

// Request counts a request, and writes a line about it if it was refused for such a cause.
func (t *Traffic) Request(r Request) {
	t.count(&r)
	if slices.Contains(logged, r.Cause) {
		attrs := []any{"operation", r.Operation, "code", r.Code.String(), "cause", r.Cause.String(), "took_ms", r.Took.Milliseconds()}
		if r.Source.IsValid() {
			attrs = append(attrs, "source", t.private.Of(r.Source).String())
		}
		if r.Client != "" {
			attrs = append(attrs, "client", r.Client)
		}
		if r.Claim != "" {
			attrs = append(attrs, "claim", r.Claim)
		}
		if r.ID != (protocol.RequestID{}) {
			attrs = append(attrs, "request_id", r.ID.String())
		}
		t.log.Info("request refused", attrs...)
	}
}

// count adds a request to its minute.
func (t *Traffic) count(r *Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	class := ClassOf(r.Operation)
	m := t.classes[class]
	if m == nil {
		m = &minute{codes: make(map[protocol.Code]int)}
		t.classes[class] = m
	}
	m.requests++
	if r.Code != protocol.CodeNone {
		m.codes[r.Code]++
	}
	m.took.Add(r.Took)
}

// Change implements [Observer]. Changes have lines of their own, where they are made.
func (t *Traffic) Change(Change) {}

// trafficEvery is the time that one line covers.
const trafficEvery = time.Minute

// Flush writes the lines of the minute, if it is over.
func (t *Traffic) Flush(now time.Time) {
	t.mu.Lock()
	if t.began.IsZero() {
		t.began = now
	}
	if now.Sub(t.began) < trafficEvery {
		t.mu.Unlock()
		return
	}
	over := t.classes
	t.began, t.classes = now, make(map[string]*minute)
	t.mu.Unlock()
	for _, class := range Classes {
		if m := over[class]; m != nil {
			t.log.LogAttrs(context.Background(), slog.LevelInfo, "requests", m.attrs(class)...)
		}
	}
}

// attrs returns the values of the line of a minute.
func (m *minute) attrs(class string) []slog.Attr {
	refused, codes := 0, []string(nil)
	for _, c := range protocol.Codes() {
		if n := m.codes[c]; n > 0 {
			refused += n
			codes = append(codes, fmt.Sprintf("%s=%d", c, n))
		}
	}
	return []slog.Attr{
		slog.String("class", class), slog.Int("requests", m.requests), slog.Int("refused", refused),
		slog.String("codes", strings.Join(codes, " ")),
		slog.Float64("p50_ms", 1000*m.took.Quantile(0.5)), slog.Float64("p99_ms", 1000*m.took.Quantile(0.99)),
	}
}

// Pseudonyms replace addresses by others, which are the same as long as the process runs
// and tell nothing about the first ones without the key. A nil Pseudonyms replaces none.
type Pseudonyms struct{ key [32]byte }

// NewPseudonyms draws a key, which is never stored.
func NewPseudonyms() *Pseudonyms {
	p := new(Pseudonyms)
	_, _ = rand.Read(p.key[:]) // never returns an error, see crypto/rand
	return p
}

// Of returns the pseudonym of an address: one of fd00::/8, which no public network has.
func (p *Pseudonyms) Of(a netip.Addr) netip.Addr {
	if p == nil || !a.IsValid() {
		return a
	}
	bytes := a.WithZone("").As16()
	sum := sha256.Sum256(append(p.key[:], bytes[:]...))
	sum[0] = 0xfd
	return netip.AddrFrom16([16]byte(sum[:16]))
}

// Scope returns the scope of an alert with the pseudonym of its network in place of it.
func (p *Pseudonyms) Scope(scope string) string {
	const kind = "network:"
	text, ok := strings.CutPrefix(scope, kind)
	if p == nil || !ok {
		return scope
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return kind + redacted
	}
	return kind + p.Of(network.Addr()).String()
}

// prefixes finds what may be the prefix of a network in a text.
var prefixes = regexp.MustCompile(`(?:[0-9a-f]|::)[0-9a-f:.]*/[0-9]+`)

// Text returns a text with the pseudonym of each network in place of its prefix.
func (p *Pseudonyms) Text(text string) string {
	if p == nil {
		return text
	}
	return prefixes.ReplaceAllStringFunc(text, func(found string) string {
		network, err := netip.ParsePrefix(found)
		if err != nil { // such as the end of the name of a claim
			return found
		}
		return p.Of(network.Addr()).String()
	})
}
