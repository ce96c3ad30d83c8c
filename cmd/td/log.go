package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/protocol"
)

// logFlags say which log is read.
type logFlags struct {
	server, user, dir *string
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
	f := &logFlags{
		server: serverFlag(cmd), user: serverUserFlag(cmd),
		dir: cmd.Flags().String("dir", "", "directory with the log's files, in place of a server"),
	}
	cmd.MarkFlagsMutuallyExclusive("server", "dir")
	return f
}

// open opens the log that the flags name.
func (f *logFlags) open() (*logFiles, error) {
	if *f.dir != "" {
		return openLogDir(*f.dir, fmt.Sprintf("%s is not a directory", *f.dir))
	}
	server, err := remote.DialAs(*f.server, *f.user, false)
	if err != nil {
		return nil, err
	}
	return logOf(server), nil
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

// info reads the checkpoint and the epoch whose key signed it.
func (l *logFiles) info(ctx context.Context) (*logInfo, error) {
	cp, err := l.SignedCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	return &logInfo{cp.Origin, cp.Size, protocol.Digest(cp.Root), cp.Epoch.Number, cp.Epoch.ID}, nil
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
			return fault.New(fault.Usage, fmt.Sprintf("%q is not the index of an entry", args[0]), "indices count from 0; td log info shows the size")
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
			return fault.New(fault.Negative, fmt.Sprintf("entry %d is not a leaf: %s", index, remote.Detail(err)), "td log audit looks at the whole log")
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
		return nil, fault.New(fault.NotFound, fmt.Sprintf("the log has %d entries; there is no entry %d", size, index), "")
	}
	leaf, _, err := l.Entry(ctx, index, size)
	return leaf, err
}

func logCheckpointCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print the newest checkpoint",
		Long: `Prints the signed checkpoint of the log, after its signature was verified with the
key of an epoch in the log. td trust add records one, so that receipts of the log
verify here.`,
		Example: "  td log checkpoint\n  td log checkpoint --dir ./data/ledger > checkpoint",
		Args:    noArgs,
	}
	f := addLogFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		files, err := f.open()
		if err != nil {
			return err
		}
		cp, err := files.SignedCheckpoint(cmd.Context())
		if err != nil {
			return files.failure(cmd.Context(), err)
		}
		_, err = io.WriteString(a.stdout, cp.Note)
		return err
	}
	return cmd
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
