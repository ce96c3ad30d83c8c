package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/telemetry"
)

func proverCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prover --socket PATH",
		Short: "Run a local prover by itself",
		Long: `Loads all fixed claims and answers proving jobs on a Unix socket, for processes of
the same user only. A prover sees the private values of the events it proves for.
td serve starts one of its own and needs none of these.`,
		Example: "  td prover --socket /run/user/1000/td-prover.sock\n  td prover --socket ./prover.sock --workers 2 --list board.json",
		Args:    noArgs,
	}
	socket := cmd.Flags().String("socket", "", "path of the Unix socket; a dead one is replaced")
	var workers count
	cmd.Flags().Var(&workers, "workers", "proofs made at a time; 0 means one for each processor")
	lists := cmd.Flags().StringArray("list", nil, "member list file whose group/1 claim is proved too; may be given several times")
	_ = cmd.MarkFlagRequired("socket")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.runProver(cmd.Context(), *socket, int(workers), *lists)
	}
	return cmd
}

func (a *app) runProver(ctx context.Context, socket string, workers int, paths []string) error {
	lists, err := memberlist.ReadAll(paths)
	if err != nil {
		return err
	}
	p, err := claim.NewProver()
	if err != nil {
		return err
	}
	for _, l := range lists {
		if err := p.AddList(l); err != nil {
			return fault.New(fault.Usage, remote.Detail(err), "")
		}
	}
	ln, err := prover.Listen(ctx, socket)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "td: ready %s\n", socket)
	return prover.Serve(ctx, ln, p, prover.Config{Workers: workers, Log: slog.New(telemetry.NewHandler(a.stderr, false, slog.LevelInfo))})
}
