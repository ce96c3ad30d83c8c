package node

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// openAttestor opens the device that attests epochs. Call it before the core gives up
// its access to devices. A device that is configured by name must answer.
func openAttestor(ctx context.Context, cfg *config.Config, log *slog.Logger) (attest.Attestor, error) {
	const hint = "td doctor shows what this machine has; --attestation none does without"
	a, err := attest.Open(attest.Config{Want: cfg.Attestation, TPM: cfg.TPM})
	if err != nil {
		return nil, fault.New(fault.Config, err.Error(), hint)
	}
	if a.Kind() == attest.WantNone {
		return a, nil
	}
	state, found := a.Detect(ctx)
	if state < attest.Usable && cfg.Attestation != attest.WantAuto {
		_ = a.Close() // it was only asked
		return nil, fault.New(fault.Config, "no attestation: "+found, hint)
	}
	log.Info("attestation", "by", a.Kind(), "state", state.String(), "found", found)
	return a, nil
}

// attestEpochs returns what makes the evidence about an epoch, nil if there is none.
func attestEpochs(a attest.Attestor) func(context.Context, *protocol.EpochOpen) ([]byte, string, error) {
	if a == nil || a.Kind() == attest.WantNone {
		return nil
	}
	return func(ctx context.Context, e *protocol.EpochOpen) ([]byte, string, error) {
		evidence, v, err := attest.Take(ctx, a, e, now())
		if err != nil {
			return nil, "", err
		}
		return evidence, fmt.Sprintf("%s %s", v.Kind, v.State), nil
	}
}
