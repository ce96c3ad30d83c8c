package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/protocol"
)

// keyCompromise plays docs/runbooks/key-compromise.md as it is written, while clients go
// on. The receipts of the epoch are flagged from then on; those before and after are
// valid, and its pending requests are never accepted.
func (g *game) keyCompromise() {
	ctx := g.Context()
	b := startBackend(g.T, g.TempDir(), "--prover", "none")
	g.accepts(b)
	if _, err := g.administer(b).Rotate(ctx, admin.RotateRequest{Reason: admin.Reason{Reason: "game day"}, How: "drain"}); err != nil {
		g.Fatal(err)
	}
	before := len(g.h.receipts)
	g.accepts(b)
	pending := b.mustAnswer(ctx)

	busy, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	load := b.newLoad(g.h, protocol.CodeFrozen, protocol.CodeInvalidated, protocol.CodeDraining)
	load.openUntil(busy, 4)
	all.Go(func() { g.runbook(b, "key-compromise") })
	all.Wait()
	stop()
	load.wg.Wait()
	for code, n := range load.codes {
		g.figures["refused "+code.String()] = n
	}
	g.refuses(b, pending, protocol.CodeInvalidated)
	flagged := map[protocol.RequestID]bool{}
	for id, r := range g.h.receipts {
		if leaf, err := protocol.ParseLeaf(r.Leaf); err != nil || g.epochOf(leaf) == 2 {
			flagged[id] = true
		}
	}
	if len(flagged) != len(g.h.receipts)-before {
		g.Errorf("%d receipts of the epoch, want %d", len(flagged), len(g.h.receipts)-before)
	}
	g.accepts(b)
	g.figures["epoch"] = b.epochNumber(ctx)
	// No hand-over vouches for the epoch: the record of what was published does.
	eventually(g.T, 20*time.Second, "the server's record does not vouch for the new epoch", func() bool {
		exit, _, _ := runTD("log", "audit", "--progress", "none", "--trust", filepath.Join(b.data, "published"), "--dir", filepath.Join(b.data, "ledger"))
		return exit == 0
	})
	g.settleFlagged(b, flagged)
}

func (g *game) epochOf(leaf protocol.Leaf) uint64 {
	g.Helper()
	body, ok := leaf.Body.(*protocol.Accepted)
	if !ok {
		g.Fatal("a receipt of something else than an acceptance")
	}
	return payloadOf(g.T, body).EpochNumber
}

// runbook runs the shell blocks of a page in docs/runbooks against a server.
func (g *game) runbook(b *backend, page string) {
	g.Helper()
	cmd := exec.Command("sh", "-eu", "-c", shellBlocks(g.T, filepath.Join("../../docs/runbooks", page+".md")))
	cmd.Dir = g.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+binDir(g.T)+string(os.PathListSeparator)+os.Getenv("PATH"),
		asProgram+"=1", "TD_SERVER="+b.url, "TD_DATA="+b.data, "XDG_STATE_HOME="+g.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.Errorf("%s: %v\n%s", page, err, out)
	}
	if code, stdout, stderr := runTD("admin", "status", "--data", b.data); code != 0 || !strings.HasPrefix(stdout, "accepting\n") || !strings.Contains(stdout, "none open") {
		g.Errorf("%s leaves a server behind that says: exit %d\n%s%s", page, code, stdout, stderr)
	}
	g.figures["commands"] = strings.Count(shellBlocks(g.T, filepath.Join("../../docs/runbooks", page+".md")), "\n")
}
