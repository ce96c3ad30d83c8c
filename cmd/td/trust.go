package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

func trustCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Choose whose logs are believed",
		Long: `The trust store holds checkpoints of logs with the reason why each is believed.
td submit and td trust add write it; td verify and td log audit read it.`,
		Example: "  td trust add --server https://td.example\n  td trust list",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(trustAddCommand(a), trustListCommand(a), trustImportCommand(a))
	return cmd
}

func trustAddCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Record the newest checkpoint of a log as believed",
		Long: `Reads the newest checkpoint of a server and records it as believed. From then on
the server and its log are bound to each other: receipts of this log verify here,
and another log of this server is refused. The server must be reached by https or
on this machine, where the port must be held by root, by you or by --server-user.

--from-operator records a checkpoint that the operator printed with td log
checkpoint and handed to you by another way. Other ends of lines, blanks at their end
and a plain dash are accepted. --policy records one that carries the signatures which a
policy file asks for. With either of them the log only supplies proofs: --log may
name a mirror or a directory, and no server is bound.

A checkpoint that contradicts what is believed already is refused.`,
		Example: `  td trust add --server https://td.example
  td trust add --from-operator checkpoint.txt --log https://td.example
  td trust add --policy cosigners.txt --log ./mirror`,
		Args: noArgs,
	}
	var v remote.Vouching
	fl := cmd.Flags()
	serverFlag(cmd, &v.Server)
	serverUserFlag(cmd, &v.ServerUser)
	trustFlag(cmd, &v.Trust)
	fl.StringVar(&v.Operator, "from-operator", "", "file with a checkpoint from the operator, - for standard input")
	fl.StringVar(&v.Policy, "policy", "", "policy file: whose signatures the checkpoint must carry")
	fl.StringVar(&v.Log, "log", "", "URL or directory of the log that supplies proofs, with --from-operator or --policy (default the server)")
	output := outputFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("from-operator", "policy")
	cmd.MarkFlagsMutuallyExclusive("server", "log")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		done, warnings, err := v.Record(cmd.Context(), a.stdin)
		a.warn(warnings)
		if err != nil {
			return err
		}
		if output.value == "json" {
			return a.printJSON(done)
		}
		_, err = fmt.Fprintf(a.stdout, "origin  %s\nsize    %d\nroot    %s\nhow     %s\nserver  %s\n", done.Origin, done.Size, done.Root, done.How, cmp.Or(done.Server, "-"))
		return err
	}
	return cmd
}

func trustListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the logs in the trust store",
		Example: "  td trust list\n  td trust list -o json",
		Args:    noArgs,
	}
	var trust string
	trustFlag(cmd, &trust)
	output := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error { return a.trustList(trust, output.value == "json") }
	return cmd
}

// knownLog is a line of td trust list.
type knownLog struct {
	Origin          string          `json:"origin"`
	Server          string          `json:"server"`
	Size            uint64          `json:"size"` // of the greatest vouched checkpoint, 0 if there is none
	Root            protocol.Digest `json:"root"`
	Key             protocol.Digest `json:"key"`
	How             receipt.Vouch   `json:"how"`
	Time            string          `json:"time"`
	Vouched         int             `json:"vouched"`
	Unauthenticated int             `json:"unauthenticated"`
	File            string          `json:"file"`
}

func (a *app) trustList(dir string, asJSON bool) error {
	store, err := remote.OpenTrust(dir)
	if err != nil {
		return err
	}
	a.noteAbsent(dir)
	logs, err := store.List() // what could be read, beside an error
	if err == nil && len(logs) == 0 {
		fmt.Fprintln(a.stderr, "no log is recorded")
	}
	if !asJSON && len(logs) > 0 {
		fmt.Fprintf(a.stdout, "%-36s%-10s%-17s%-22s%s\n", "ORIGIN", "SIZE", "HOW", "RECORDED", "SERVER")
	}
	for _, l := range logs {
		line := knownLog{
			Origin: l.Origin, Server: l.Server, Size: l.Size, Root: l.Root, Key: l.Key, How: l.How,
			Vouched: l.Vouched, Unauthenticated: l.Unauthenticated, File: l.File,
		}
		if l.Size > 0 {
			line.Time = l.When.Format(time.RFC3339)
		}
		if asJSON {
			if err := a.printJSON(line); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.stdout, "%-36s%-10d%-17s%-22s%s\n", line.Origin, line.Size, line.How, cmp.Or(line.Time, "-"), cmp.Or(line.Server, "-"))
	}
	if err != nil {
		return fault.New(fault.Unavailable, err.Error(), remote.Advice(receipt.Unavailable, err, nil))
	}
	return nil
}

func trustImportCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Read trust files of version 1",
		Long: `Verifies the checkpoints in trust files of version 1 and keeps them as
unauthenticated: they vouch for nothing, but a log that contradicts them causes a
warning.
td trust add records what is believed. A file that stands in the trust store's own
place is kept beside the new one, with .v1 at the end of its name.`,
		Example: "  td trust import ~/.local/state/terradourada/trust/*.trust",
		Args:    someArgs("FILE"),
	}
	var trust string
	trustFlag(cmd, &trust)
	cmd.RunE = func(_ *cobra.Command, files []string) error {
		store, err := remote.OpenTrust(trust)
		if err != nil {
			return err
		}
		for _, name := range files {
			origin, n, err := store.Import(name, time.Now())
			if errors.Is(err, os.ErrNotExist) {
				return fault.New(fault.NotFound, fmt.Sprintf("%s does not exist", name), "")
			}
			if err != nil {
				return fault.New(fault.Unavailable, fmt.Sprintf("%s cannot be imported: %v", name, err), "the file is as it was")
			}
			fmt.Fprintf(a.stdout, "%s of log %s imported from %s as unauthenticated\n", termui.Count(n, "checkpoint"), origin, name)
		}
		return nil
	}
	return cmd
}
