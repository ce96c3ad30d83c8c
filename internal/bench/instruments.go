package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/node"
	httpserver "github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/protocol"
)

// instrumentShare is what limits and telemetry may add to an issue, as a share of its
// processor time.
const instrumentShare = 0.03

// A turn is short, so that other work on the machine falls on both of its parts. There are
// so many at most.
const (
	handled      = 200
	handledTurns = 200
)

// instruments measures what limits, events, metrics and lines of the log add to an issue
// that costs so many microseconds. Two handlers answer the same requests in turns, one
// with the instruments of a node and one without. Connections and keyholders, which are
// the same for both, would only add noise to the difference.
func (b *run) instruments(ctx context.Context, issue float64) (Budget, error) {
	with, err := openInstruments(b.Version)
	if err != nil {
		return Budget{}, err
	}
	bare, err := newHandler(nil)
	if err != nil {
		return Budget{}, err
	}
	equipped, err := newHandler(with)
	if err != nil {
		return Budget{}, err
	}
	turns := min(b.Sessions/handled, handledTurns)
	p := b.progress("limits and telemetry", turns)
	defer p.Finish()
	var c comparison
	for i := range turns {
		bodies, err := openBodies(handled)
		if err != nil {
			return Budget{}, err
		}
		serve := func(h *handler) work {
			return work{thisProcess(), func() error { return h.serve(ctx, bodies, i*handled) }}
		}
		if err := c.take(handled, serve(bare), serve(equipped)); err != nil {
			return Budget{}, err
		}
		p.Step(time.Now())
	}
	extra := (c.ratio() - 1) * median(c.baseline)
	return Budget{
		Name: "limits_telemetry", Bound: atMost, Limit: instrumentShare, Unit: "of issue",
		How: "processor time that limits, events, metrics and lines of the log add to the handler of a challenge and to its end, each request from another IPv6 address and every quota set, over that of a challenge over HTTP",
		Figures: map[string]float64{
			"extra_us": extra, "issue_us": issue, "without_us": median(c.baseline), "with_us": median(c.subject),
			"lost": float64(with.Lost()), "operations": float64(c.operations), "turns": float64(turns),
		},
	}.judge(extra / issue), nil
}

// openInstruments returns the instruments of a server behind a proxy, whose quotas are all
// set and never reached.
func openInstruments(version string) (*node.Instruments, error) {
	const plenty = "1000000/s burst 1000000"
	settings, err := config.Load([]string{"HOME=/nonexistent"}, map[string]string{
		"client-address": config.AddressXFF, "trusted-proxies": "127.0.0.1",
		"limit-issue": plenty, "limit-claim": plenty, "limit-all": plenty, "limit-total": "issue " + plenty,
	})
	if err != nil {
		return nil, err
	}
	return node.NewInstruments(node.Config{Settings: settings, Version: version, Log: slog.New(slog.DiscardHandler)})
}

// handler is a server without connections, whose gate has no keyholders.
type handler struct {
	http.Handler
	with *node.Instruments // nil for none
}

func newHandler(with *node.Instruments) (*handler, error) {
	vk, ok := claim.KnownKey(claim.Open)
	if !ok {
		return nil, protocol.CodeUnknownClaim
	}
	gateConfig := gate.Config{
		Epochs: instantEpochs{}, Holds: noHolds{}, Sessions: session.New(session.Config{}),
		Claims: []gate.Claim{{ID: claim.Open, Key: vk, Fingerprint: vk.Fingerprint(claim.Open, protocol.ListID{})}},
	}
	if with != nil {
		gateConfig.Observe = with.Outcome
	}
	cfg := httpserver.Config{Gate: patientGate{gate.New(gateConfig)}}
	if with != nil {
		with.Attach(&cfg)
	}
	return &handler{httpserver.New(cfg), with}, nil
}

// serve answers requests on all processors. Then it reports that the challenges have
// expired, as those of a flood do, and has the events read.
func (h *handler) serve(ctx context.Context, bodies [][]byte, first int) error {
	g, processors := new(errgroup.Group), runtime.GOMAXPROCS(0)
	for p := range processors {
		g.Go(func() error {
			for i := p; i < len(bodies); i += processors {
				if err := h.challenge(ctx, bodies[i], source(first+i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil || h.with == nil {
		return err
	}
	for range bodies {
		h.with.Outcome(gate.Outcome{Operation: "expire", Code: protocol.CodeExpired, Claim: claim.Open.String()})
	}
	h.with.Read()
	return nil
}

// challenge asks for a challenge from an address behind a proxy.
func (h *handler) challenge(ctx context.Context, body []byte, from netip.Addr) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/v1/challenges", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.RemoteAddr = "127.0.0.1:1"
	r.Header = http.Header{"Content-Type": {api.MediaJSON}, limit.XForwardedFor: {from.String()}}
	w := &answer{header: make(http.Header)}
	if h.ServeHTTP(w, r); w.status != http.StatusCreated {
		return fmt.Errorf("the handler answered %d to a correct request", w.status)
	}
	return nil
}

// source returns an address for a request: no two are in one network.
func source(n int) netip.Addr {
	a := [16]byte{0: 0x20, 15: 1}
	binary.BigEndian.PutUint64(a[1:], uint64(n)*0x9e3779b97f4a7c15) // an odd factor: no two are equal
	return netip.AddrFrom16(a)
}

// answer records the status of an answer.
type answer struct {
	header http.Header
	status int
}

// Header returns the header.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader records the status.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write drops the body.
func (a *answer) Write(b []byte) (int, error) { return len(b), nil }

// patientGate charges every challenge to this machine: others are paced to what can be
// verified.
type patientGate struct{ *gate.Gate }

// Payer returns that of this machine.
func (g patientGate) Payer(limit.Source) limit.Payer { return g.Gate.Payer(limit.Source{Local: true}) }

// instantEpochs has one epoch, which issues at once.
type instantEpochs struct{}

// Begin returns the epoch.
func (instantEpochs) Begin(context.Context, time.Duration) (gate.Epoch, error) {
	return instantEpoch{}, nil
}

// Find returns the epoch.
func (instantEpochs) Find(protocol.EpochID) (gate.Epoch, bool) { return instantEpoch{}, true }

// instantEpoch is an epoch without keyholders. Nothing but what an issue calls is there.
type instantEpoch struct{ gate.Epoch }

// ID returns the same for all.
func (instantEpoch) ID() protocol.EpochID { return protocol.EpochID{1} }

// Number returns the same for all.
func (instantEpoch) Number() uint64 { return signerNumber }

// Issue returns the draft, and an empty tag.
func (instantEpoch) Issue(_ context.Context, draft *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error) {
	return *draft, protocol.Tag{}, nil
}

// Anchor returns an empty anchor.
func (instantEpoch) Anchor(context.Context, *protocol.EncodedPayload) (protocol.Anchor, uint64, error) {
	return protocol.Anchor{}, 0, nil
}

// noHolds holds nothing.
type noHolds struct{}

// Check refuses nothing.
func (noHolds) Check(journal.Operation, protocol.Digest) error { return nil }

// Writable reports that the journal takes writes.
func (noHolds) Writable() bool { return true }
