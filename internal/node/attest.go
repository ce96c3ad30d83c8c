package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// openAttestor opens what is to speak for epochs, before the core gives up its
// access to devices. What was asked for by name has to answer.
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

// attest is how the epochs of this core are attested, nil if they are not.
func (c *core) attest() func(context.Context, *protocol.EpochOpen) ([]byte, string, error) {
	if c.attestor.Kind() == attest.WantNone {
		return nil
	}
	return func(ctx context.Context, e *protocol.EpochOpen) ([]byte, string, error) {
		evidence, v, err := attest.Take(ctx, c.attestor, e, time.Now())
		if err != nil {
			return nil, "", err
		}
		return evidence, fmt.Sprintf("%s %s", v.Kind, v.State), nil
	}
}
