package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// logFlags say which log is read.
type logFlags struct {
	server, dir *string
}

func logCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Read and audit a log",
		Long: `Reads the log of a server, or its files in a directory: the folder ledger of the
server's data directory, or a copy of it.`,
		Example: "  td log info\n  td log entry 7\n  td log audit --proofs --dir ./data/ledger",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(logInfoCommand(a), logEntryCommand(a), logCheckpointCommand(a), logAuditCommand(a))
	return cmd
}

func addLogFlags(cmd *cobra.Command) *logFlags {
	f := &logFlags{server: serverFlag(cmd), dir: cmd.Flags().String("dir", "", "directory with the log's files, in place of a server")}
	cmd.MarkFlagsMutuallyExclusive("server", "dir")
	return f
}

// open gives the log that the flags name.
func (f *logFlags) open() (*logFiles, error) {
	if *f.dir == "" {
		server, err := dial(*f.server)
		if err != nil {
			return nil, err
		}
		return &logFiles{server: server, Log: client.NewLog(server.Client)}, nil
	}
	if info, err := os.Stat(*f.dir); err != nil || !info.IsDir() {
		return nil, fail(exitNotFound, fmt.Sprintf("%s is not a directory", *f.dir), "the server keeps its log in the folder ledger of its data directory")
	}
	return &logFiles{dir: *f.dir, Log: client.NewLogDir(*f.dir)}, nil
}

func logInfoCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "info",
		Short:   "Show origin, size, root and newest epoch of a log",
		Example: "  td log info\n  td log info --dir ./data/ledger -o json",
		Args:    noArgs,
	}
	f, output := addLogFlags(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		files, err := f.open()
		if err != nil {
			return err
		}
		info, err := files.info(cmd.Context())
		if err != nil {
			return files.failure(cmd.Context(), err)
		}
		if output.value == "json" {
			return a.printJSON(info)
		}
		_, err = fmt.Fprintf(a.stdout, "origin  %s\nsize    %d\nroot    %s\nepoch   %d, %s\n", info.Origin, info.Size, info.Root, info.Epoch, info.EpochID)
		return err
	}
	return cmd
}

// logInfo is what td log info prints.
type logInfo struct {
	Origin  string           `json:"origin"`
	Size    uint64           `json:"size"`
	Root    protocol.Digest  `json:"root"`
	Epoch   uint64           `json:"epoch"` // that signed the checkpoint
	EpochID protocol.EpochID `json:"epoch_id"`
}

// info reads the checkpoint and looks from the end of the log for the epoch
// whose key signed it.
func (l *logFiles) info(ctx context.Context) (*logInfo, error) {
	cp, epoch, err := l.signedCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	return &logInfo{cp.Origin, cp.Size, protocol.Digest(cp.Root), epoch.Number, epoch.ID}, nil
}

func logEntryCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "entry INDEX",
		Short: "Show one entry of a log",
		Long: `Decodes the leaf with an index. The entry is shown as the log gives it;
td log audit checks that it belongs there.`,
		Example: "  td log entry 0\n  td log entry 7 -o json",
		Args:    oneArg("INDEX"),
	}
	f, output := addLogFlags(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		index, err := strconv.ParseUint(args[0], 10, 63)
		if err != nil {
			return fail(exitUsage, fmt.Sprintf("%q is not the index of an entry", args[0]), "indices count from 0; td log info shows the size")
		}
		files, err := f.open()
		if err != nil {
			return err
		}
		raw, err := files.entry(cmd.Context(), index)
		if err != nil {
			return files.failure(cmd.Context(), err)
		}
		fields, err := decodeEntry(raw)
		if err != nil {
			return fail(exitNegative, fmt.Sprintf("entry %d is not a leaf: %s", index, detailOf(err)), "td log audit looks at the whole log")
		}
		return printFields(a.stdout, fields, output.value == "json")
	}
	return cmd
}

// entry is the leaf with an index, of a tree as large as the newest checkpoint
// says.
func (l *logFiles) entry(ctx context.Context, index uint64) ([]byte, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return nil, err
	}
	if index >= size {
		return nil, fail(exitNotFound, fmt.Sprintf("the log has %d entries; there is no entry %d", size, index), "")
	}
	entries, err := l.bundle(ctx, index/bundleWidth, size)
	if err != nil {
		return nil, err
	}
	return entries[index%bundleWidth], nil
}

func logCheckpointCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print the newest checkpoint, and record it",
		Long: `Prints the signed checkpoint of the log. With --record it is also kept in the trust
store, after its signature and its consistency with what was recorded before were
checked: from then on receipts of this log verify here, with --log for those whose
own checkpoint was not recorded. The first checkpoint of a log is believed, so get
it from where you trust it.`,
		Example: "  td log checkpoint\n  td log checkpoint --record",
		Args:    noArgs,
	}
	f, trust := addLogFlags(cmd), trustFlag(cmd)
	record := cmd.Flags().Bool("record", false, "record it in the trust store")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		files, err := f.open()
		if err != nil {
			return err
		}
		cp, _, err := files.signedCheckpoint(cmd.Context())
		if err != nil {
			return files.failure(cmd.Context(), err)
		}
		if *record {
			if err := recordCheckpoint(cmd.Context(), files, cp, *trust); err != nil {
				return files.failure(cmd.Context(), err)
			}
		}
		_, err = io.WriteString(a.stdout, cp.Note)
		return err
	}
	return cmd
}

func recordCheckpoint(ctx context.Context, files *logFiles, cp *receipt.Checkpoint, dir string) error {
	trust, err := openTrust(dir)
	if err != nil {
		return err
	}
	return pin(ctx, trust, cp, files)
}

// field is one line of a decoded entry.
type field struct {
	name  string
	value any
}

// printFields prints an entry as a table, or as one JSON object in this order.
func printFields(w io.Writer, fields []field, asJSON bool) error {
	if !asJSON {
		for _, f := range fields {
			if _, err := fmt.Fprintf(w, "%-16s  %v\n", f.name, f.value); err != nil {
				return err
			}
		}
		return nil
	}
	line := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			line = append(line, ',')
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return err
		}
		line = append(line, strconv.Quote(f.name)+":"...)
		line = append(line, value...)
	}
	_, err := w.Write(append(line, '}', '\n'))
	return err
}
