package main_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/terradourada/td/internal/admin"
)

// restore plays the loss of a disk of which an older copy is left. The copy does not go on
// as the log, because something newer was seen; the newest data does. From the older copy
// another log begins, and every receipt stays valid.
func (g *game) restore() {
	data := g.TempDir()
	b := startBackend(g.T, data, "--prover", "none")
	g.accepts(b)
	older := g.backUp(b)
	g.accepts(b)
	b.kill()
	lost := filepath.Join(g.TempDir(), "lost")
	if err := os.Rename(data, lost); err != nil {
		g.Fatal(err)
	}

	newest := g.newestReceipt()
	if exit, out, errs := runTD("restore", older, "--data", data, "--checkpoint", newest); exit != 7 || !strings.Contains(errs, "would be lost") {
		g.Errorf("td restore of the older copy: exit code %d: %s%s", exit, out, errs)
	}
	g.must("restore", lost, "--data", data, "--checkpoint", newest)
	b = startBackend(g.T, data, "--prover", "none")
	g.accepts(b)
	g.settle(b)

	again := newGame(g.T, g.short, g.rng) // clients bind the server to another log once
	began := filepath.Join(g.TempDir(), "new")
	g.must("restore", older, "--data", began, "--new-log")
	b = startBackend(g.T, began, "--prover", "none")
	again.accepts(b)
	again.settle(b)
	g.figures["new_log"] = again.figures
	g.audit(filepath.Join(began, "previous", "ledger"), 0)
	g.verdicts(filepath.Join(data, "ledger"), nil)
}

// must runs a command and wants exit code 0.
func (g *game) must(args ...string) {
	g.Helper()
	if exit, out, errs := runTD(args...); exit != 0 {
		g.Fatalf("td %q: exit code %d\n%s%s", args, exit, out, errs)
	}
}

// backUp has a running server copy its data, and moves the copy out of its directory.
func (g *game) backUp(b *backend) (dir string) {
	g.Helper()
	done, err := g.administer(b).Backup(g.Context(), admin.BackupRequest{Reason: admin.Reason{Reason: "game day"}, Name: "older"})
	if err != nil {
		g.Fatal(err)
	}
	dir = filepath.Join(g.TempDir(), "copy")
	if err := os.Rename(done.Directory, dir); err != nil {
		g.Fatal(err)
	}
	return dir
}

// newestReceipt writes the receipt with the greatest checkpoint into a file.
func (g *game) newestReceipt() (file string) {
	g.Helper()
	var sizes []uint64
	files := map[uint64][]byte{}
	for _, r := range g.h.receipts {
		cp, err := r.Checkpoint()
		if err != nil {
			g.Fatal(err)
		}
		sizes = append(sizes, cp.Size)
		if files[cp.Size], err = r.Encode(); err != nil {
			g.Fatal(err)
		}
	}
	file = filepath.Join(g.TempDir(), "newest.receipt.json")
	if err := os.WriteFile(file, files[slices.Max(sizes)], 0o600); err != nil {
		g.Fatal(err)
	}
	return file
}
