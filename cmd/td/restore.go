package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/receipt"
)

// restoreFlags are the flags of "td restore".
type restoreFlags struct {
	data, checkpoint, user, origin string
	newLog, proofs                 bool
	progress, output               *choice
}

func restoreCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore COPY",
		Short: "Make a data directory of a backup",
		Long: `Audits a copy of a data directory and makes a new data directory of it. The copy is
left as it is, and no directory is replaced but an empty one.

A copy cannot show by itself that it is not an older one. If the log went on from
an older copy, it would have two histories: what was accepted since would be lost,
what was used up could be used again, and clients would refuse the log. So the copy
must hold a checkpoint from outside of it, which --checkpoint names: a file, a
receipt, the address of a server, or a copy of the log's files. Take the newest one
that clients, auditors or mirrors have. The copy is refused if it lacks entries of the checkpoint
(exit code 7, with their number) or contradicts it (10).

If no copy is new enough, --new-log begins another log: it is empty, under another
origin and with new keys, as every epoch's. The copy is kept in the folder previous
of the data directory. Receipts of the old log stay valid: they need no server. What
was used up in the old log is not in the new one, API clients are made again, and
each client binds the server to the new log with td trust add --server URL.`,
		Example: "  td restore backup --data ./data --checkpoint newest.note\n  td restore backup --data ./data --checkpoint https://mirror.example\n  td restore backup --data ./data --new-log",
		Args:    oneArg("COPY"),
	}
	var f restoreFlags
	fl := cmd.Flags()
	fl.StringVar(&f.data, "data", "", "the new data directory")
	fl.StringVar(&f.checkpoint, "checkpoint", "", "the newest checkpoint that is known outside of the copy: a file, a receipt, a URL or a directory")
	serverUserFlag(cmd, &f.user)
	fl.BoolVar(&f.newLog, "new-log", false, "begin another log, and keep the copy for reading")
	fl.StringVar(&f.origin, "origin", "", "with --new-log: name of the new log (default drawn at random)")
	fl.BoolVar(&f.proofs, "proofs", true, "verify every accepted proof of the copy")
	f.progress, f.output = progressFlag(cmd), outputFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("checkpoint", "new-log")
	cmd.MarkFlagsMutuallyExclusive("checkpoint", "origin")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), args[0], &f) }
	return cmd
}

func (a *app) restore(ctx context.Context, from string, f *restoreFlags) error {
	switch {
	case f.data == "":
		return fault.New(fault.Usage, "the new data directory is missing", "--data names it")
	case f.checkpoint == "" && !f.newLog:
		return fault.New(fault.Usage, "nothing shows that the copy is not an older one", "--checkpoint names the newest checkpoint that is known outside of the copy; --new-log begins another log")
	}
	progress := termui.NewProgress(a.stderr, f.progress.value, "audit", time.Now())
	done, err := f.run(ctx, from, audit.Options{Proofs: f.proofs, Progress: stepwise(progress)})
	progress.Finish()
	if err != nil {
		return (*remote.Server)(nil).Failure(ctx, err)
	}
	return a.show(f.output, done, func(w io.Writer) error { return restoredTable(w, done, f.data) })
}

func (f *restoreFlags) run(ctx context.Context, from string, o audit.Options) (*datadir.Restored, error) {
	if f.newLog {
		return datadir.RestoreAsNew(ctx, from, f.data, f.origin, o)
	}
	note, err := readCheckpoint(ctx, f.checkpoint, f.user)
	if err != nil {
		return nil, err
	}
	return datadir.Restore(ctx, from, f.data, note, o)
}

// readCheckpoint reads a checkpoint from a file, a receipt, a server, or a directory with
// the files of a log.
func readCheckpoint(ctx context.Context, name, serverUser string) (string, error) {
	info, err := os.Stat(name)
	if strings.Contains(name, "://") || err == nil && info.IsDir() {
		log, err := remote.OpenLog(name, serverUser)
		if err != nil {
			return "", err
		}
		note, err := log.Checkpoint(ctx)
		return string(note), log.Failure(ctx, err)
	}
	return fsutil.ParseFile(name, receipt.MaxSize, checkpointIn, fault.Usage, " is no checkpoint and no receipt", "td log checkpoint prints one")
}

// checkpointIn returns the checkpoint in a file: the file itself, or that of a receipt.
func checkpointIn(b []byte) (string, error) {
	r, err := receipt.Parse(b)
	if err != nil {
		return receipt.TidyCheckpoint(string(b))
	}
	cp, err := r.Checkpoint()
	if err != nil {
		return "", err
	}
	return cp.Note, nil
}

func restoredTable(w io.Writer, r *datadir.Restored, data string) error {
	for _, sentence := range r.Faults {
		fmt.Fprintf(w, "FAULT  %s\n", sentence)
	}
	fmt.Fprintf(w, "copy of log %s, %d entries, %s verified\n", r.Origin, max(r.Rows, r.Size), termui.Count(r.Proofs, "proof"))
	next := "td serve --data " + data
	if r.NewOrigin != "" {
		fmt.Fprintf(w, "new log %s; the copy is in %s/%s\n", r.NewOrigin, data, datadir.PreviousDir)
		next += ", then tell the clients: td trust add --server URL"
	}
	_, err := fmt.Fprintf(w, "data directory %s\nnext: %s\n", cmp.Or(data, "."), next)
	return err
}
