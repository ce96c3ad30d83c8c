// Package remote reaches servers for the commands of td: it makes their clients,
// opens the user's trust store, and turns what goes wrong into faults with a hint.
package remote

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

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// DefaultServer is where "td serve" listens if nothing is configured.
const DefaultServer = "http://127.0.0.1:8080"

// userID returns the number of the user that --server-user names. For "" it is that of
// root, who is accepted anyway.
func userID(name string) (uint32, error) {
	if name == "" {
		return 0, nil
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

// Server is the client of a server, with the address that messages name.
type Server struct {
	*client.Client
	url     string
	without string // how to go on where the server is not live, for a hint; "" if there is no way
}

// Patience is how long calls ride over restarts of a server and refusals that pass. Say
// prints what is waited for. The zero value means the client's own short retries.
type Patience struct {
	For time.Duration
	Say func(line string)
}

// config returns the settings of a client that is so patient.
func (p Patience) config(cfg client.Config, address string) client.Config {
	if p.For > 0 {
		cfg.Patience = p.For
		cfg.Waiting = func(reason error) {
			p.Say(fmt.Sprintf("waiting up to %s for %s: %s", p.For, address, reasonOf(reason)))
		}
	}
	return cfg
}

// reasonOf returns why a call is made again, without library prefixes.
func reasonOf(err error) string {
	var foreign *client.ForeignError
	if p := new(client.Problem); !errors.As(err, &foreign) && errors.As(err, &p) {
		return Detail(p)
	}
	return NetworkReason(err)
}

// Dial returns the client of a server; it connects to nothing yet. An address of ""
// means $TD_SERVER, or [DefaultServer].
func Dial(address string, p Patience) (*Server, error) { return dialWith(address, client.Config{}, p) }

// Token is the API key of a client, read from its file. The zero value is none.
type Token struct {
	client string
	key    principal.Key
	given  bool
}

// ReadToken reads the file that --token-file names, or else $TD_TOKEN_FILE, if one is
// named.
func ReadToken(file string) (t Token, err error) {
	file = cmp.Or(file, os.Getenv("TD_TOKEN_FILE"))
	if file == "" {
		return t, nil
	}
	if err := fsutil.CheckPrivate(file); err != nil {
		return t, err
	}
	return fsutil.ParseFile(file, maxToken, func(b []byte) (Token, error) {
		client, key, err := principal.ParseToken(b)
		return Token{client: client, key: key, given: true}, err
	}, fault.Usage, "no token file", "it holds one line: the client id, a space and the API key")
}

// maxToken bounds a token file, in bytes.
const maxToken = 256

// ClientID returns the identity of the client at the server.
func (t *Token) ClientID() string {
	if t.given {
		return t.client
	}
	return protocol.LocalClient
}

// DialToken is [Dial] with an API key, which is only sent to a server that is live.
func DialToken(address string, t Token, p Patience) (*Server, error) {
	if !t.given {
		return Dial(address, p)
	}
	return DialLive(address, "", t, false, p)
}

func dialWith(address string, cfg client.Config, p Patience) (*Server, error) {
	address = cmp.Or(address, os.Getenv("TD_SERVER"), DefaultServer)
	c, err := client.New(address, p.config(cfg, address))
	if err != nil {
		return nil, fault.New(fault.Usage, err.Error(), "--server takes a URL such as "+DefaultServer)
	}
	return &Server{Client: c, url: address}, nil
}

// DialLive is [DialAs] for a command with the flag --allow-self-asserted. Without the flag,
// or with an API key, nothing is sent to a server that is not live.
func DialLive(address, serverUser string, t Token, selfAsserted bool, p Patience) (*Server, error) {
	server, err := dialUser(address, serverUser, t, t.given || !selfAsserted, p)
	if err == nil && !t.given {
		server.without = "; --allow-self-asserted goes on without"
	}
	return server, err
}

// DialAs is [Dial] with the user that --server-user names. With liveOnly,
// nothing is sent over a connection that is not authenticated.
func DialAs(address, serverUser string, liveOnly bool, p Patience) (*Server, error) {
	return dialUser(address, serverUser, Token{}, liveOnly, p)
}

func dialUser(address, serverUser string, t Token, liveOnly bool, p Patience) (*Server, error) {
	uid, err := userID(cmp.Or(serverUser, os.Getenv("TD_SERVER_USER")))
	if err != nil {
		return nil, err
	}
	cfg := client.Config{ServerUID: uid, LiveOnly: liveOnly, ClientID: t.ClientID()}
	if t.given {
		cfg.Token = t.key.Text()
	}
	return dialWith(address, cfg, p)
}

// Failure returns the error of a call to the server as a fault, or the error of ctx if that
// has ended. The server is nil for what comes from a copy of a log.
func (r *Server) Failure(ctx context.Context, err error) error {
	var known *fault.Fault
	var refused *protocol.Error
	var p *client.Problem
	var notLive *client.NotLiveError
	var incomplete *client.IncompleteError
	var foreign *client.ForeignError
	switch {
	case err == nil || errors.As(err, &known) || errors.As(err, &refused):
		return err
	case receipt.VerdictOf(err) != "":
		return VouchFailure(err, r)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &incomplete) && (incomplete.Path != "checkpoint" || !errors.As(err, &foreign)):
		return fault.New(fault.Unavailable, incomplete.Error(), "the copy of the log is not complete: let it end, or get it again")
	case errors.As(err, &foreign):
		return r.foreignFault(foreign)
	case errors.As(err, &p):
		return &fault.Fault{Exit: exitOfProblem(p), What: "the server refused: " + cmp.Or(p.Detail, p.Title), Hint: hintOf(p), Code: p.Code}
	case errors.As(err, &notLive):
		return fault.New(fault.Unvouched, fmt.Sprintf("nothing shows that the server at %s is the right one, so nothing was sent: %s", r.url, notLive.Reason),
			adviceOnNotLive(notLive)+r.without)
	case errors.Is(err, client.ErrChallenge):
		return fault.New(fault.Negative, err.Error(), "nothing was proved; this server, or something before it, does not do as asked")
	case errors.Is(err, client.ErrAnswer), errors.Is(err, client.ErrLog):
		return fault.New(fault.Unavailable, fmt.Sprintf("%s: %v", r.url, err), isItOurs)
	}
	if what, hint := r.networkFault(err); what != "" {
		return fault.New(fault.Unavailable, what, hint)
	}
	return err
}

const isItOurs = "is there a Terra Dourada server at this address?"

// foreignFault returns the fault for an error answer of another server, or of a proxy
// before the server.
func (r *Server) foreignFault(e *client.ForeignError) error {
	if e.Gateway() {
		return fault.New(fault.Unavailable, fmt.Sprintf("a proxy at %s does not reach the server: it answered with %s", r.url, e.Answer), "try again later, or ask the operator whether the server runs")
	}
	switch e.Code {
	case protocol.CodeUnauthenticated, protocol.CodeForbidden, protocol.CodeTooLarge, protocol.CodeRateLimited:
		return &fault.Fault{Exit: exitOfProblem(e.Problem), What: fmt.Sprintf("%s answered with %s", r.url, e.Answer), Hint: hintOf(e.Problem), Code: e.Code}
	}
	return fault.New(fault.Unavailable, fmt.Sprintf("%s is not a Terra Dourada server: it answered with %s", r.url, e.Answer), "check host, port and path of the address; --server names another")
}

// networkFault returns what happened to a connection and what to do, or "" if the error
// is of another kind.
func (r *Server) networkFault(err error) (what, hint string) {
	var network *url.Error
	var bad *tls.CertificateVerificationError
	var slow *client.SlowError
	switch {
	case errors.As(err, &slow):
		return fmt.Sprintf("%s: %v", r.url, slow), "the server hangs or is overloaded: try again later, or ask the operator"
	case errors.Is(err, client.ErrTLS):
		return "this port speaks TLS: use https" + strings.TrimPrefix(r.url, "http"), ""
	case errors.Is(err, client.ErrPlain):
		return "this port speaks plain HTTP: use http" + strings.TrimPrefix(r.url, "https"), "or give the server a certificate: --tls-cert and --tls-key of td serve"
	case errors.As(err, &bad):
		return fmt.Sprintf("the certificate of %s is not accepted: %v", r.url, bad.Err), "an authority of your own is named by the variable SSL_CERT_FILE, a file in PEM form"
	case errors.As(err, new(tls.RecordHeaderError)):
		return r.url + " does not speak TLS", isItOurs
	case !errors.As(err, &network):
		return "", ""
	case client.Lost(err) && !network.Timeout():
		return fmt.Sprintf("the server at %s ended the connection without an answer: %s", r.url, NetworkReason(err)), "it may have stopped or been restarted: the same command can be run again"
	}
	return fmt.Sprintf("no server answers at %s: %s", r.url, NetworkReason(err)), `start one with "td serve", or name another with --server`
}

// DoNotRely is the hint where a server or a log contradicts itself.
const DoNotRely = "stop relying on this server until the operator has explained it"

// exitOfProblem returns the exit status of an error answer. A refusal that may pass by
// itself counts as unavailable.
func exitOfProblem(p *client.Problem) int {
	if code := fault.ExitOf(p.Code); code != fault.Negative || !p.Retryable {
		return code
	}
	return fault.Unavailable
}

func hintOf(p *client.Problem) string {
	switch {
	case p.Code == protocol.CodeFrozen && !p.Retryable:
		return "receipts already issued stay verifiable; the log takes nothing further, and another server has to"
	case p.Code == protocol.CodeFrozen:
		return "receipts already issued stay verifiable; try again after the operator's thaw"
	case p.Code == protocol.CodeUnauthenticated:
		return "--token-file names the file with your client id and API key; the operator of the server makes them"
	case p.Code == protocol.CodeUnknownClaim:
		return "td claims --server URL lists what the server accepts"
	case p.Code == protocol.CodeExpired:
		return "a new challenge is needed; --ttl lets it live longer, up to 10m"
	case p.RetryAfter > 0:
		return fmt.Sprintf("try again in %d s", (p.RetryAfter+time.Second-1)/time.Second)
	case p.Retryable:
		return "try again later"
	}
	return ""
}

// NetworkReason returns a network error without the library's prefixes.
func NetworkReason(err error) string {
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

// Detail returns the detail of a refusal, or the text of any other error.
func Detail(err error) string {
	var p *client.Problem
	if errors.As(err, &p) {
		return cmp.Or(p.Detail, p.Title)
	}
	return cmp.Or(fault.Explain(err), protocol.DetailOf(err), err.Error())
}
