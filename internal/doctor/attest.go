package doctor

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// attestation reports whether hardware that can attest an epoch is detected,
// usable, or attested itself.
func (d *doctor) attestation(ctx context.Context) {
	const id = "attestation"
	best, wanted := attest.Absent, d.cfg.Attestation
	var found []string
	for _, want := range []string{attest.WantTPM, attest.WantTSM} {
		state, text := d.attestor(ctx, want)
		found = append(found, fmt.Sprintf("%s %s (%s)", want, state, text))
		best = max(best, state)
		if want == wanted && state < attest.Usable {
			d.bad(sandbox.StateMissing, sectionServer, id, want+" is configured, and "+state.String()+": "+text, "--attestation none does without")
		}
	}
	value := strings.Join(found, "; ")
	switch best {
	case attest.Attested:
		d.ok(sectionMachine, id, value)
	case attest.Absent:
		d.bad(sandbox.StateMissing, sectionMachine, id, value, "none, unless strangers own the machine: docs/security/attestation.md")
	default:
		d.bad(sandbox.StateWeak, sectionMachine, id, value, "a verifier who pins its key, or has its certificate, makes it attested")
	}
}

// attestor tries one kind of attestation with an epoch that does not exist.
func (d *doctor) attestor(ctx context.Context, want string) (attest.State, string) {
	a, err := attest.Open(attest.Config{Want: want, TPM: d.cfg.TPM})
	if err != nil {
		if _, thereErr := os.Stat(d.cfg.TPM); want == attest.WantTPM && thereErr == nil {
			return attest.Detected, err.Error()
		}
		return attest.Absent, err.Error()
	}
	defer func() { _ = a.Close() }() // nothing was written
	state, text := a.Detect(ctx)
	if state < attest.Usable {
		return state, text
	}
	_, v, err := attest.Take(ctx, a, &protocol.EpochOpen{Number: 1}, time.Now())
	if err != nil {
		return attest.Detected, err.Error()
	}
	return max(attest.Usable, v.State), text + "; a quote of it is " + v.State.String()
}
