package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Environment variables of the game days.
const (
	envGameDays    = "TD_GAMEDAYS"      // "full" or "short"; without it none is played
	envGameDayOut  = "TD_GAMEDAYS_OUT"  // file for a line of JSON for each game
	envGameDaySeed = "TD_GAMEDAYS_SEED" // of a run to repeat
)

// TestGameDays plays game days: real servers meet, under load, what an operator
// rehearses. docs/operate.md lists them; make gamedays plays all, those of package
// faults included. After each one every answer that was acknowledged is in the log at
// its index, td log audit finds nothing, and td verify finds every receipt as it should
// be.
func TestGameDays(t *testing.T) {
	mode := os.Getenv(envGameDays)
	if mode != "full" && mode != "short" {
		t.Skip(envGameDays + " is not set: no game day is played")
	}
	days := &gameDays{t: t, short: mode == "short", seed: rand.Uint64() >> 11}
	if given := os.Getenv(envGameDaySeed); given != "" {
		var err error
		if days.seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(days.write)
	if _, err := openProver(); err != nil {
		t.Fatal(err)
	}
	// The rotations are alone in a full run, because their times are compared.
	days.play("200 rotations under load", !days.short, (*game).rotate)
	days.play("clock off by an hour, and stepped", false, (*game).stepClock)
	days.play("rogue prover", false, (*game).rogueProver)
	days.play("freeze, thaw and rotate storm", false, (*game).storm)
	days.play("runbook of a key compromise", false, (*game).keyCompromise)
	days.play("restore of an old backup", false, (*game).restore)
	days.play("certificate renewal under load", false, (*game).renewCertificates)
}

// gameDays are the games of one run.
type gameDays struct {
	t     *testing.T
	short bool
	seed  uint64

	mu      sync.Mutex
	results []gameResult
}

// gameResult is what a game reports.
type gameResult struct {
	Name    string         `json:"name"`
	OK      bool           `json:"ok"`
	Figures map[string]any `json:"figures"`
}

// game is one game in progress.
type game struct {
	*testing.T
	short   bool
	rng     *rand.Rand
	figures map[string]any
	h       *history // of all clients
}

// play plays a game as a subtest, beside the others unless it is to be alone.
func (d *gameDays) play(name string, alone bool, run func(*game)) {
	d.t.Run(name, func(t *testing.T) {
		if !alone {
			t.Parallel()
		}
		began := time.Now()
		g := newGame(t, d.short, rand.New(rand.NewPCG(d.seed, uint64(len(name)))))
		defer func() {
			g.figures["seconds"] = int(time.Since(began).Seconds())
			d.mu.Lock()
			defer d.mu.Unlock()
			d.results = append(d.results, gameResult{name, !t.Failed() && !t.Skipped(), g.figures})
		}()
		run(g)
	})
}

func newGame(t *testing.T, short bool, rng *rand.Rand) *game {
	t.Helper()
	return &game{T: t, short: short, rng: rng, figures: map[string]any{}, h: newHistory(t)}
}

// write puts the results where TD_GAMEDAYS_OUT says.
func (d *gameDays) write() {
	d.t.Logf("seed %d", d.seed)
	var lines bytes.Buffer
	for _, r := range d.results {
		line, err := json.Marshal(r)
		if err != nil {
			d.t.Error(err)
		}
		d.t.Logf("%s", line)
		lines.Write(append(line, '\n'))
	}
	if name := os.Getenv(envGameDayOut); name != "" {
		if err := os.WriteFile(name, lines.Bytes(), 0o600); err != nil {
			d.t.Error(err)
		}
	}
}

// either returns the first number in a short run, the second in a full one.
func (g *game) either(short, full int) int {
	if g.short {
		return short
	}
	return full
}

// accepts has one answer accepted and keeps its receipt.
func (g *game) accepts(b *backend) {
	g.Helper()
	g.keep(b.Client, b.wantAccepted(g.Context(), b.mustAnswer(g.Context())))
}

// keep records an acknowledged answer and the checkpoint of its receipt, as td submit
// does.
func (g *game) keep(c *client.Client, a *client.Accepted) {
	g.Helper()
	g.h.note(g.T, a)
	if a.Receipt == nil {
		g.Errorf("request %s has no receipt", a.RequestID)
		return
	}
	cp, err := a.Receipt.Checkpoint()
	if err == nil {
		_, err = g.h.trust.Record(g.Context(), cp, client.NewLog(c), asLive, time.Now())
	}
	if err != nil {
		g.Errorf("the log is not the one it was: %v", err)
	}
}

// refuses hands an answer in and wants a refusal. A connection may break; the same answer
// is sent again then, as clients do, and the figures count it.
func (g *game) refuses(b *backend, a *answer, want protocol.Code) {
	g.Helper()
	_, err := b.send(g.Context(), a, 0)
	if died(err) {
		g.figures["broken_connection"] = err.Error()
		_, err = b.send(g.Context(), a, 0)
	}
	if protocol.CodeOf(err) != want {
		g.Errorf("got %v, want %s", err, want)
	}
}

// keepAccepting has answers accepted until ctx ends, and returns how many.
func (g *game) keepAccepting(ctx context.Context, b *backend) (n int) {
	for ctx.Err() == nil {
		a, err := b.challenge(ctx, submission())
		if err == nil {
			var p client.Prover
			if p, err = openProver(); err == nil {
				a.proof, err = a.draft.Prove(ctx, p, a.ch, protocol.LocalClient)
			}
		}
		var acc *client.Accepted
		if err == nil {
			acc, err = b.send(context.WithoutCancel(ctx), a, 20*time.Second)
		}
		switch {
		case err == nil:
			g.keep(b.Client, acc)
			n++
		case ctx.Err() == nil:
			g.Errorf("a good client was refused: %v", err)
		}
	}
	return n
}

// settle stops the server and holds everything that the clients have seen against what
// is left: the journal, the log, and the verdicts of the commands.
func (g *game) settle(b *backend) []row {
	g.Helper()
	return g.settleFlagged(b, nil)
}

// settleFlagged is settle where the receipts of the requests given are flagged.
func (g *game) settleFlagged(b *backend, flagged map[protocol.RequestID]bool) []row {
	g.Helper()
	for id, index := range g.h.acked {
		if g.h.receipts[id] == nil {
			r, err := b.Receipt(g.Context(), id, 20*time.Second)
			if err != nil {
				g.Errorf("request %s has no receipt: %v", id, err)
				continue
			}
			g.keep(b.Client, &client.Accepted{RequestID: id, Index: index, Receipt: r})
		}
	}
	b.stop(30 * time.Second)
	rows := rowsOf(g.T, b.data)
	wantSameLog(g.T, b.data, rows)
	inJournal := acceptedIn(g.T, rows)
	for id, index := range g.h.acked {
		if got, ok := inJournal[id]; !ok || got != index {
			g.Errorf("request %s was acknowledged as %d; the journal has %d, %v", id, index, got, ok)
		}
	}
	g.figures["acknowledged"], g.figures["leaves"], g.figures["epochs"] = len(g.h.acked), len(rows), lastEpoch(rows)
	g.verdicts(filepath.Join(b.data, "ledger"), flagged)
	return rows
}

// audit wants td log audit to end with an exit code.
func (g *game) audit(ledger string, want int) {
	g.Helper()
	if exit, out, errs := runTD("log", "audit", "--proofs", "--progress", "none", "--trust", g.h.dir, "--dir", ledger); exit != want {
		g.Errorf("td log audit: exit code %d\n%s%s", exit, out, errs)
	}
}

// verdicts wants td log audit to find nothing, and td verify to find every receipt
// valid, but flagged those of the requests given.
func (g *game) verdicts(ledger string, flagged map[protocol.RequestID]bool) {
	g.Helper()
	g.audit(ledger, 0)
	dir := g.TempDir()
	var files bytes.Buffer
	for id, r := range g.h.receipts {
		name := filepath.Join(dir, id.String())
		content, err := r.Encode()
		if err == nil {
			err = os.WriteFile(name, content, 0o600)
		}
		if err != nil {
			g.Fatal(err)
		}
		fmt.Fprintln(&files, name)
	}
	list := filepath.Join(dir, "list")
	if err := os.WriteFile(list, files.Bytes(), 0o600); err != nil {
		g.Fatal(err)
	}
	exit, out, errs := runTD("verify", "-o", "json", "--trust", g.h.dir, "--log", ledger, "--scan", "--files-from", list)
	verified := 0
	for line := range bytes.Lines([]byte(out)) {
		var v struct {
			File, Verdict string
			RequestID     protocol.RequestID `json:"request_id"`
		}
		if err := json.Unmarshal(line, &v); err != nil || v.File == "" {
			continue // the summary
		}
		verified++
		if want := g.verdictOf(v.RequestID, flagged); v.Verdict != want {
			g.Errorf("td verify: %s, want %s: %s", v.Verdict, want, line)
		}
	}
	if verified != len(g.h.receipts) || exit != 0 {
		g.Errorf("td verify: exit code %d, %d of %d receipts\n%s", exit, verified, len(g.h.receipts), errs)
	}
	g.figures["receipts"], g.figures["flagged"] = verified, len(flagged)
}

func (g *game) verdictOf(id protocol.RequestID, flagged map[protocol.RequestID]bool) string {
	if flagged[id] {
		return receipt.Flagged
	}
	return receipt.Valid
}

// failures counts requests that failed, and keeps the first error.
type failures struct {
	mu    sync.Mutex
	n     int
	first error
}

func (f *failures) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.first == nil {
		f.first = err
	}
}

// none wants none to have failed.
func (f *failures) none(g *game) {
	g.Helper()
	before, _ := g.figures["failed"].(int)
	if g.figures["failed"] = before + f.n; f.n > 0 {
		g.Errorf("%d requests failed, such as: %v", f.n, f.first)
	}
}
