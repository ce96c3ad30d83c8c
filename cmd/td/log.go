package main

import (
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
	server, user, dir string
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

func addLogFlags(cmd *cobra.Command, f *logFlags) {
	serverFlag(cmd, &f.server)
	serverUserFlag(cmd, &f.user)
	cmd.Flags().StringVar(&f.dir, "dir", "", "directory with the log's files, in place of a server")
	cmd.MarkFlagsMutuallyExclusive("server", "dir")
}

// open opens the log that the flags name.
func (f *logFlags) open() (*remote.Log, error) {
	if f.dir != "" {
		return remote.OpenLogDir(f.dir)
	}
	return remote.OpenServerLog(f.server, f.user, false)
}

func logInfoCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "info",
		Short:   "Show origin, size, root, checkpoint key and newest epoch of a log",
		Example: "  td log info\n  td log info --dir ./data/ledger -o json",
		Args:    noArgs,
	}
	var f logFlags
	addLogFlags(cmd, &f)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := f.open()
		if err != nil {
			return err
		}
		cp, err := log.SignedCheckpoint(cmd.Context())
		if err != nil {
			return log.Failure(cmd.Context(), err)
		}
		info := logInfo{cp.Origin, cp.Size, protocol.Digest(cp.Root), protocol.Digest(cp.Key), cp.Epoch.Number, cp.Epoch.ID}
		if output.value == "json" {
			return a.printJSON(info)
		}
		_, err = fmt.Fprintf(a.stdout, "origin  %s\nsize    %d\nroot    %s\nkey     %s\nepoch   %d, %s\n", info.Origin, info.Size, info.Root, info.Key, info.Epoch, info.EpochID)
		return err
	}
	return cmd
}

// logInfo is what td log info prints.
type logInfo struct {
	Origin  string           `json:"origin"`
	Size    uint64           `json:"size"`
	Root    protocol.Digest  `json:"root"`
	Key     protocol.Digest  `json:"key"`   // that signed the checkpoint
	Epoch   uint64           `json:"epoch"` // whose key that is
	EpochID protocol.EpochID `json:"epoch_id"`
}

func logEntryCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "entry INDEX",
		Short: "Show one entry of a log",
		Long: `Decodes the leaf with an index. The entry is shown as the log holds it;
td log audit checks that it belongs there.`,
		Example: "  td log entry 0\n  td log entry 7 -o json",
		Args:    oneArg("INDEX"),
	}
	var f logFlags
	addLogFlags(cmd, &f)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		index, err := strconv.ParseUint(args[0], 10, 63)
		if err != nil {
			return fault.New(fault.Usage, fmt.Sprintf("%q is not the index of an entry", args[0]), "indices count from 0; td log info shows the size")
		}
		log, err := f.open()
		if err != nil {
			return err
		}
		raw, err := log.Leaf(cmd.Context(), index)
		if err != nil {
			return log.Failure(cmd.Context(), err)
		}
		fields, err := remote.Decode(raw)
		if err != nil {
			return fault.New(fault.Negative, fmt.Sprintf("entry %d is not a leaf: %s", index, remote.Detail(err)), "td log audit looks at the whole log")
		}
		return a.show(output, fields, fields.Table)
	}
	return cmd
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
	var f logFlags
	addLogFlags(cmd, &f)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := f.open()
		if err != nil {
			return err
		}
		cp, err := log.SignedCheckpoint(cmd.Context())
		if err != nil {
			return log.Failure(cmd.Context(), err)
		}
		_, err = io.WriteString(a.stdout, cp.Note)
		return err
	}
	return cmd
}
