package client

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/protocol"
)

// Config are the settings of a client. The zero value suffices for most.
type Config struct {
	// Transport makes the requests. nil: a new transport with the certificates of the
	// system and bounded times. A client with another transport is never live, see
	// [Client.Live].
	Transport http.RoundTripper
	// LiveOnly refuses connections that are not authenticated with a [*NotLiveError],
	// before anything is sent over them. It needs the client's own transport.
	LiveOnly bool
	// ServerUID is the user of the server: a listening socket of this user on a loopback
	// address is trusted. Sockets of root and of the own user are always trusted.
	ServerUID uint32
	// Token is sent as a bearer token if it is not empty.
	Token string
	// ClientID is the identity of this client at the server. Every challenge must be
	// committed to it. "": protocol.LocalClient.
	ClientID string
	// Retries bounds how often one call is retried. 0: 4 times; negative: never.
	Retries int
	// MaxPause is the longest pause between two tries. 0: 5 s.
	MaxPause time.Duration
	// Patience, if positive, replaces Retries: a call is retried until this time has passed
	// since it failed first, also over refused connections and longer pauses.
	Patience time.Duration
	// Waiting, if given, is called with the reason when calls begin to be retried, at most
	// once in the time of Patience.
	Waiting func(reason error)
	// Timeout is how long the head of an answer may take, beside a wait that the server
	// was asked for, and then its body, beside one second for each KiB. 0: a minute.
	Timeout time.Duration
}

// Client talks to one server. It may be used by many goroutines.
type Client struct {
	base *url.URL
	http *http.Client
	cfg  Config

	waiting   sync.Mutex
	announced time.Time // last call of Waiting; guarded by waiting

	live      liveness
	uids      [3]uint32 // whose listening sockets are trusted: root, the own user, ServerUID
	listeners func(netip.AddrPort) (map[uint64]uint32, error)
}

// New returns a client of the server at a base URL such as "https://td.example" or
// "http://127.0.0.1:8080". A path of the URL stays in front of every path of the API.
// New does not connect.
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
	cfg.ClientID = cmp.Or(cfg.ClientID, protocol.LocalClient)
	cfg.Retries = cmp.Or(cfg.Retries, 4)
	if cfg.MaxPause <= 0 {
		cfg.MaxPause = 5 * time.Second
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	c.cfg = cfg
	c.http = &http.Client{
		Transport:     cfg.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// ClientID returns the identity that every challenge must be committed to.
func (c *Client) ClientID() string { return c.cfg.ClientID }

// ErrAnswer is an answer that does not belong to this API: it is too large, of another
// type, or about another request.
var ErrAnswer = errors.New("the server's answer is not one of this API")

func badAnswer(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrAnswer, fmt.Errorf(format, args...))
}

// prefer returns the Prefer header for a wait, in seconds rounded up, and "" for no
// wait.
func prefer(wait time.Duration) string {
	if wait <= 0 {
		return ""
	}
	return fmt.Sprintf("wait=%d", (wait+time.Second-1)/time.Second)
}
