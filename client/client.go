package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/terradourada/td/protocol"
)

// Config says how to reach a server. The zero value is good for most.
type Config struct {
	// Transport makes the requests. nil: a transport of its own with the
	// system's certificates and bounded times. A client with another one is
	// never live, see [Client.Live].
	Transport http.RoundTripper
	// LiveOnly refuses connections that are not authenticated with a [*NotLiveError],
	// before anything is sent over them. It needs the client's own transport.
	LiveOnly bool
	// ServerUID is the user whose listening socket on a loopback address is
	// believed to be the server's. 0: root, which is believed anyway, as is the
	// own user.
	ServerUID uint32
	// Token is sent as a bearer token if it is not empty.
	Token string
	// ClientID is the identity that the server knows this client by, which
	// every challenge must be committed to. "": protocol.LocalClient.
	ClientID string
	// Retries bounds how often one call is tried again. 0: 4 times; negative:
	// never.
	Retries int
	// MaxPause is the longest pause between two tries. 0: 5 s.
	MaxPause time.Duration
}

// Client talks to one server. It may be used by many goroutines.
type Client struct {
	base *url.URL
	http *http.Client
	cfg  Config

	live      liveness
	uids      [3]uint32 // whose listening sockets are believed: root, the own user, ServerUID
	listeners func(netip.AddrPort) (map[uint64]uint32, error)
}

// New makes a client for the server at a base URL such as
// "https://td.example" or "http://127.0.0.1:8080"; a path is kept in front of
// every path of the API. It connects to nothing.
func New(baseURL string, cfg Config) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the server's address is not an http or https URL")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the server's address may hold no user, query or fragment")
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), ""
	u.Host = strings.ToLower(u.Host)
	c := &Client{base: u, listeners: listeners, uids: [3]uint32{0, uint32(os.Geteuid()), cfg.ServerUID}}
	switch {
	case cfg.Transport == nil:
		cfg.Transport = c.newTransport()
	case cfg.LiveOnly:
		return nil, errors.New("only connections of the client's own transport can be authenticated")
	default:
		c.live.note(&NotLiveError{Reason: "the connections are made by another transport than the client's own"})
	}
	if cfg.ClientID == "" {
		cfg.ClientID = protocol.LocalClient
	}
	if cfg.Retries == 0 {
		cfg.Retries = 4
	}
	if cfg.MaxPause <= 0 {
		cfg.MaxPause = 5 * time.Second
	}
	c.cfg = cfg
	c.http = &http.Client{
		Transport:     cfg.Transport,
		Timeout:       tryTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// tryTimeout bounds one try, the longest wait and a long download included.
const tryTimeout = 3 * time.Minute

// ErrAnswer is a server's answer that no server of this API gives: too large,
// of another type, or about another request.
var ErrAnswer = errors.New("the server's answer is not one of this API")

func badAnswer(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrAnswer, fmt.Sprintf(format, args...))
}

// prefer is the Prefer header for a wait, in whole seconds rounded up; none for
// no wait.
func prefer(wait time.Duration) string {
	if wait <= 0 {
		return ""
	}
	return fmt.Sprintf("wait=%d", (wait+time.Second-1)/time.Second)
}

// sleep waits for d or for the end of the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
