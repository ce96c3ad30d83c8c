package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// defaultServer is where "td serve" listens if nothing is configured.
const defaultServer = "http://127.0.0.1:8080"

// serverFlag adds --server to a command.
func serverFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("server", "", "URL of the server (default $TD_SERVER, or "+defaultServer+")")
}

// remote is a server and the address it is known by in messages.
type remote struct {
	*client.Client
	url string
}

// dial makes the client of a server; it connects to nothing yet.
func dial(address string) (*remote, error) {
	address = cmp.Or(address, os.Getenv("TD_SERVER"), defaultServer)
	c, err := client.New(address, client.Config{})
	if err != nil {
		return nil, fail(exitUsage, err.Error(), "--server takes a URL such as "+defaultServer)
	}
	return &remote{c, address}, nil
}

// failure turns what a call to the server came to into what a user is told. An
// interruption stays one.
func (r *remote) failure(ctx context.Context, err error) error {
	var known *failure
	var refused *protocol.Error
	var p *client.Problem
	var split *receipt.SplitViewError
	switch {
	case err == nil || errors.As(err, &known) || errors.As(err, &refused):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &p):
		return &failure{exit: exitOfProblem(p), what: "the server refused: " + orElse(p.Detail, p.Title), hint: hintOf(p), code: p.Code}
	case errors.As(err, &split):
		return fail(exitNegative, split.Error(), doNotRely)
	case errors.Is(err, errReceipt):
		return fail(exitNegative, err.Error(), doNotRely)
	case errors.Is(err, client.ErrChallenge):
		return fail(exitNegative, err.Error(), "nothing was proved; this server, or something before it, does not do as asked")
	case errors.Is(err, client.ErrAnswer):
		return fail(exitUnreachable, fmt.Sprintf("%s: %v", r.url, err), "is there a Terra Dourada server at this address?")
	}
	var network *url.Error
	if !errors.As(err, &network) {
		return err
	}
	if bad := new(tls.CertificateVerificationError); errors.As(err, &bad) {
		return fail(exitUnreachable, fmt.Sprintf("the certificate of %s is not accepted: %v", r.url, bad.Err), "an authority of your own is named by the variable SSL_CERT_FILE, a file in PEM form")
	}
	return fail(exitUnreachable, fmt.Sprintf("no server answers at %s: %s", r.url, networkReason(err)), `start one with "td serve", or name another with --server`)
}

// doNotRely is the hint where a server or a log contradicts itself.
const doNotRely = "stop relying on this server until somebody has explained it"

// exitOfProblem is the exit code of an error answer; what may pass by itself
// counts as not reached.
func exitOfProblem(p *client.Problem) int {
	if code := exitOf(p.Code); code != exitNegative || !p.Retryable {
		return code
	}
	return exitUnreachable
}

func hintOf(p *client.Problem) string {
	switch {
	case p.Code == protocol.CodeFrozen:
		return "receipts already issued stay verifiable; try again after the operator's thaw"
	case p.Code == protocol.CodeUnknownClaim:
		return "td claims --server URL lists what the server accepts"
	case p.RetryAfter > 0:
		return fmt.Sprintf("try again in %d s", (p.RetryAfter+time.Second-1)/time.Second)
	case p.Retryable:
		return "try again later"
	}
	return ""
}

// networkReason is a network error without the library's prefixes.
func networkReason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return "it did not answer in time"
		}
		err = u.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	return strings.TrimPrefix(err.Error(), "tls: ")
}
