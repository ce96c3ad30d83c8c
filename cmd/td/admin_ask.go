package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

// questions asks the operator on a terminal. Without one, flags are the answers.
type questions struct {
	in       *bufio.Reader
	out      io.Writer
	terminal bool
	command  string
}

func newQuestions(a *app, cmd *cobra.Command) *questions {
	return &questions{in: bufio.NewReader(a.stdin), out: a.stderr, terminal: termui.IsTerminal(a.stdin), command: cmd.CommandPath()}
}

// ask prints a question and returns the line that is typed.
func (q *questions) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(q.out, question)
	line := make(chan string, 1)
	go func() { // ends with the process at the latest: a read of a terminal cannot be cancelled
		s, _ := q.in.ReadString('\n')
		line <- strings.TrimSpace(s)
	}()
	select {
	case s := <-line:
		return s, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// reason returns the reason that was given, or asks for it.
func (q *questions) reason(ctx context.Context, given string) (_ string, err error) {
	if given == "" && q.terminal {
		if given, err = q.ask(ctx, "reason: "); err != nil {
			return "", err
		}
	}
	if given == "" {
		return "", fault.New(fault.Usage, q.command+" needs --reason: the audit records why", `for example --reason "signer died twice, looking"`)
	}
	return given, nil
}

// confirm asks for a word before something that cannot be taken back, or that restarts
// what was stopped.
func (q *questions) confirm(ctx context.Context, risk string, word func(context.Context) (string, error)) error {
	if risk == "" {
		return nil
	}
	if !q.terminal {
		return fault.New(fault.Usage, fmt.Sprintf("%s needs --yes where there is no terminal: %s", q.command, risk), "add --yes if that is what you want")
	}
	want, err := word(ctx)
	if err != nil {
		return err
	}
	got, err := q.ask(ctx, fmt.Sprintf("%s: %s\ntype %s to confirm: ", q.command, risk, protocol.Escaped(want)))
	if err == nil && got != want {
		err = fault.New(fault.Usage, "it was not confirmed, and nothing was done", "")
	}
	return err
}
