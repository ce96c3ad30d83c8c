package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/remote"
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
	ln, err := listenUnix(ctx, socket)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "td: ready %s\n", socket)
	return prover.Serve(ctx, ln, p, prover.Config{Workers: workers})
}

// listenUnix listens on a path that only this user can reach. A socket that
// no process listens on is left over and replaced; anything else is not touched.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if err := removeDead(ctx, path); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fault.New(fault.Config, fmt.Sprintf("cannot listen on %s: %s", path, remote.NetworkReason(err)), "--socket names another path")
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

func removeDead(ctx context.Context, path string) error {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return fault.New(fault.Config, fmt.Sprintf("another process listens on %s already", path), "--socket names another path")
	}
	return os.Remove(path)
}
