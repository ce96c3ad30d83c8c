package main

import (
	"log/slog"
	"path/filepath"

	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/sandbox"
)

// lockCore gives up what the core does not need, before the first child is
// started. What it could not give up is logged: its children are judged by
// themselves.
func lockCore(cfg *config.Config, log *slog.Logger) {
	probes := sandbox.EnterCore(sandbox.CoreConfig{
		Writable: append([]string{cfg.Data, filepath.Dir(cfg.Socket)}, treeOf(cfg)...),
		Readable: named(append([]string{cfg.TLSCert, cfg.TLSKey, cfg.File()}, cfg.Group...)),
	})
	for _, p := range probes {
		if p.State != sandbox.StateOK {
			log.Warn("core not fully locked", "measure", p.ID, "state", p.State.String(), "found", p.Value)
		}
	}
	log.Info("core locked", "posture", sandbox.Posture{Probes: probes}.Text())
}

// treeOf is where requests for quotes are made, if they may be.
func treeOf(cfg *config.Config) []string {
	if cfg.Attestation == attest.WantTSM || cfg.Attestation == attest.WantAuto {
		return []string{attest.ReportTree}
	}
	return nil
}

// named leaves out the files that are not configured.
func named(files []string) (some []string) {
	for _, f := range files {
		if f != "" {
			some = append(some, f)
		}
	}
	return some
}
