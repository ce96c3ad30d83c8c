package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/protocol"
)

// codesOf lists the codes of findings.
func codesOf(all []server.Finding) string {
	var codes []string
	for _, f := range all {
		codes = append(codes, f.Code)
	}
	return strings.Join(codes, " ")
}

// recordsNode returns a node without keyholders whose records are open.
func recordsNode(t *testing.T) *node {
	t.Helper()
	cfg, err := testConfig(filepath.Join(t.TempDir(), "data"), slog.DiscardHandler)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Config: cfg, services: newServices()}
	err = errors.Join(n.prepare(t.Context()), n.openRecords(t.Context()))
	if err == nil {
		n.reader, err = newReader(t.Context(), n.machine, n.Version)
	}
	if err != nil {
		t.Fatal(errors.Join(err, n.close()))
	}
	return n
}

// TestHealth: what is said of a node that starts, has no epoch, is frozen, cannot write
// its journal, has a writer that does not answer, and stops.
func TestHealth(t *testing.T) {
	t.Parallel()
	n := recordsNode(t)
	h, ctx := &n.health, t.Context()
	check := func(when, dead, faults, notes string) {
		t.Helper()
		look, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		d := h.Alive(look)
		f, k := h.Ready()
		if codesOf(d) != dead || codesOf(f) != faults || codesOf(k) != notes {
			t.Errorf("%s: dead %+v, faults %+v, notes %+v", when, d, f, k)
		}
	}
	check("at the start", "", codeStarting, "")
	h.serving.Store(n.reader)
	check("without an epoch", "", codeNoEpoch, "")
	if err := n.records.freeze(ctx, reasonDeaths); err != nil {
		t.Fatal(err)
	}
	check("frozen", "", codeNoEpoch, codeFrozen)
	if words := h.words(); words != "not ready; no epoch is active: an epoch has ended and the next one opens; accept is frozen by the core: signer or tagger died too often" {
		t.Error(words)
	}

	ledger := n.services.all[slices.IndexFunc(n.services.all, func(s *service) bool { return s.name == "ledger" })]
	ledger.cancel()
	<-ledger.done
	check("without a ledger", "", codeLedgerStopped+" "+codeNoEpoch, codeFrozen)

	data := n.Settings.Data
	if err := os.Rename(data, data+".away"); err != nil { // the file alone would be replaced by a copy
		t.Fatal(err)
	}
	leaf := &protocol.ClaimLeaf{ClaimID: string(n.claims[0].ID), SRS: claim.SRSDigest(), VK: n.claims[0].Key.Encode()}
	if _, err := n.records.journal.Append(ctx, time.Now(), leaf); err == nil {
		t.Error("a journal that is away takes a leaf")
	}
	check("without its directory", "", codeJournalFailed+" "+codeLedgerStopped+" "+codeNoEpoch, codeFrozen)

	stopped := errors.Join(n.services.stop(), os.Rename(data+".away", data))
	check("without a writer", codeJournalStuck, codeJournalFailed+" "+codeLedgerStopped+" "+codeNoEpoch, codeFrozen)
	h.stopping.Store(true)
	check("at the stop", "", codeStopping, "")
	n.services = newServices()
	if err := errors.Join(stopped, n.close()); err != nil {
		t.Log(err) // the journal was away
	}
}

// TestHealthCodes: every code is explained in the documentation.
func TestHealthCodes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/how-to/run.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{
		codeJournalStuck, codeEpochsStuck, codeStarting, codeStopping, codeDiskFull, codeJournalFailed, codeJournalBehind,
		codeLedgerStopped, codeLedgerBehind, codeNoEpoch, codeFrozen, codeSealed, codeReadOnly, codeLedgerFailed,
	} {
		if !strings.Contains(string(page), "| `"+code+"` |") {
			t.Errorf("docs/how-to/run.md does not explain %s", code)
		}
	}
}
