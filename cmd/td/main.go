// Command td is Terra Dourada: the server, its hidden children, and everything
// a user needs to get receipts and to check them.
//
// Data goes to standard output; progress, logs and errors go to standard error.
// Package fault lists the exit codes.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/node"
	"github.com/terradourada/td/internal/telemetry"
)

func main() {
	if status, ok := node.RunChild(os.Args); ok { // the children of a server are this program, too
		os.Exit(status)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs the program on the streams and returns the exit code. Tests call it too.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	defer a.endLog()
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		if progressAsJSON(cmd) {
			a.writeEnd(&fault.Fault{Exit: fault.OK})
		}
		return fault.OK
	}
	return a.report(ctx, cmd, err)
}

// app holds the streams of a command.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	log    *telemetry.Log // nil but in a server
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "td",
		Short: "Turn an event into a proof anyone can check later",
		Long: `Terra Dourada turns an event into a zero-knowledge proof that anyone can check
later, without any key existing that could forge one tomorrow.

Start with "td demo". For your own events: "td serve" in one terminal,
"td submit" in another, and "td verify" anywhere, offline.`,
		Example:       "  td demo\n  td serve\n  td submit --claim range/1 --params params.json --out receipts events.jsonl\n  td verify receipts/*.receipt.json",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,

		PersistentPreRunE: checkFlags,
	}
	showVersion := root.Flags().Bool("version", false, "print what td version prints")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *showVersion {
			return a.printVersion()
		}
		return cmd.Help()
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCommand())
	root.AddCommand(
		serveCommand(a),
		submitCommand(a),
		verifyCommand(a),
		challengeCommand(a),
		proveCommand(a),
		sendCommand(a),
		receiptCommand(a),
		claimsCommand(a),
		paramsCommand(a),
		logCommand(a),
		anomalyCommand(a),
		restoreCommand(a),
		trustCommand(a),
		cosignCommand(a),
		proverCommand(a),
		probeCommand(a),
		demoCommand(a),
		configCommand(a),
		doctorCommand(a),
		benchCommand(a),
		adminCommand(a),
		versionCommand(a),
	)
	root.InitDefaultCompletionCmd()
	typedErrors(root)
	return root
}

// helpCommand returns "td help COMMAND", which does what "td COMMAND --help" does.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Short:  "Show the help of a command",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return unknownCommand(of, rest[0])
			}
			of.InitDefaultHelpFlag() // as --help does
			return of.Help()
		},
	}
}
