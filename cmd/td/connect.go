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
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// defaultServer is where "td serve" listens if nothing is configured.
const defaultServer = "http://127.0.0.1:8080"

// serverFlag adds --server to a command.
func serverFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("server", "", "URL of the server (default $TD_SERVER, or "+defaultServer+")")
}

// serverUserFlag adds --server-user to a command.
func serverUserFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("server-user", "", "user who runs the server on this machine, by name or number (default $TD_SERVER_USER); root and the own user are known")
}

// userID is the number of the user that --server-user names; "" names none.
func userID(name string) (uint32, error) {
	if name == "" {
		return 0, nil // root, who is known anyway
	}
	text := name
	if _, err := strconv.ParseUint(name, 10, 32); err != nil {
		u, err := user.Lookup(name)
		if err != nil {
			return 0, fault.New(fault.Usage, fmt.Sprintf("--server-user: there is no user %q on this machine", name), "it takes a name or a number, as does TD_SERVER_USER")
		}
		text = u.Uid
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fault.New(fault.Usage, fmt.Sprintf("--server-user: user %q has no number", name), "")
	}
	return uint32(n), nil
}

// remote is a server and the address it is known by in messages.
type remote struct {
	*client.Client
	url     string
	without string // how to go on where the server is not live, for a hint; "" if there is no way
}

// dial makes the client of a server; it connects to nothing yet.
func dial(address string) (*remote, error) { return dialWith(address, client.Config{}) }

func dialWith(address string, cfg client.Config) (*remote, error) {
	address = cmp.Or(address, os.Getenv("TD_SERVER"), defaultServer)
	c, err := client.New(address, cfg)
	if err != nil {
		return nil, fault.New(fault.Usage, err.Error(), "--server takes a URL such as "+defaultServer)
	}
	return &remote{Client: c, url: address}, nil
}

// dialLive is [dialAs] for a command that sends nothing to a server that is not
// live, unless it has the flag --allow-self-asserted and that is given.
func dialLive(address, serverUser string, selfAsserted bool) (*remote, error) {
	server, err := dialAs(address, serverUser, !selfAsserted)
	if err == nil {
		server.without = "; --allow-self-asserted goes on without"
	}
	return server, err
}

// dialAs is [dial] with the user that --server-user names. With liveOnly,
// nothing is sent over a connection that is not authenticated.
func dialAs(address, serverUser string, liveOnly bool) (*remote, error) {
	uid, err := userID(cmp.Or(serverUser, os.Getenv("TD_SERVER_USER")))
	if err != nil {
		return nil, err
	}
	return dialWith(address, client.Config{ServerUID: uid, LiveOnly: liveOnly})
}

// failure turns the error of a call to the server into what the user sees. An
// interruption stays one.
func (r *remote) failure(ctx context.Context, err error) error {
	var known *fault.Fault
	var refused *protocol.Error
	var p *client.Problem
	var notLive *client.NotLiveError
	switch {
	case err == nil || errors.As(err, &known) || errors.As(err, &refused):
		return err
	case receipt.VerdictOf(err) != "":
		return vouchFailure(err, r)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &p):
		return &fault.Fault{Exit: exitOfProblem(p), What: "the server refused: " + orElse(p.Detail, p.Title), Hint: hintOf(p), Code: p.Code}
	case errors.As(err, &notLive):
		return fault.New(fault.Unvouched, fmt.Sprintf("nothing shows that the server at %s is the right one, so nothing was sent: %s", r.url, notLive.Reason),
			adviceOnNotLive(notLive)+r.without)
	case errors.Is(err, client.ErrTLS):
		return fault.New(fault.Unavailable, "this port speaks TLS: use https"+strings.TrimPrefix(r.url, "http"), "")
	case errors.Is(err, client.ErrChallenge):
		return fault.New(fault.Negative, err.Error(), "nothing was proved; this server, or something before it, does not do as asked")
	case errors.Is(err, client.ErrAnswer), errors.Is(err, client.ErrLog):
		return fault.New(fault.Unavailable, fmt.Sprintf("%s: %v", r.url, err), "is there a Terra Dourada server at this address?")
	}
	var network *url.Error
	if !errors.As(err, &network) {
		return err
	}
	if bad := new(tls.CertificateVerificationError); errors.As(err, &bad) {
		return fault.New(fault.Unavailable, fmt.Sprintf("the certificate of %s is not accepted: %v", r.url, bad.Err), "an authority of your own is named by the variable SSL_CERT_FILE, a file in PEM form")
	}
	return fault.New(fault.Unavailable, fmt.Sprintf("no server answers at %s: %s", r.url, networkReason(err)), `start one with "td serve", or name another with --server`)
}

// doNotRely is the hint where a server or a log contradicts itself.
const doNotRely = "stop relying on this server until the operator has explained it"

// exitOfProblem is the exit code of an error answer; what may pass by itself
// counts as not reached.
func exitOfProblem(p *client.Problem) int {
	if code := fault.ExitOf(p.Code); code != fault.Negative || !p.Retryable {
		return code
	}
	return fault.Unavailable
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
