package client

import (
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"strings"
)

// ErrTLS is the error for a plain HTTP request to a port that speaks TLS.
var ErrTLS = errors.New("this port speaks TLS, and was asked in plain HTTP")

// ErrPlain is the error for a TLS request to a port that speaks plain HTTP.
var ErrPlain = http.ErrSchemeMismatch

// A ForeignError is an error answer that does not come from a server of this API: it is
// no problem document. Problem has what its status means.
type ForeignError struct {
	*Problem
	Answer string // what it is, such as "an HTML page (status 404)"
}

// Error says what the answer was.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("the server answered with %s, which is not one of this API", e.Answer)
}

// Unwrap returns the problem.
func (e *ForeignError) Unwrap() error { return e.Problem }

// Gateway reports whether the answer is of a proxy that does not reach the server.
func (e *ForeignError) Gateway() bool {
	switch e.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// describe returns what an answer is, for people.
func describe(res *http.Response) string {
	media := mediaType(res)
	kind := "data of type " + printable(media)
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		kind = "a redirect"
	case media == "":
		kind = "an answer without a media type"
	case media == "text/html":
		kind = "an HTML page"
	case strings.HasSuffix(media, "json"):
		kind = "JSON of another API"
	}
	return fmt.Sprintf("%s (status %d)", kind, res.StatusCode)
}

func mediaType(res *http.Response) string {
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

// foreignProtocol replaces the error for an answer that is not HTTP. It has no type in
// net/http, so the connection finds it.
func foreignProtocol(err error) error {
	switch {
	case errors.Is(err, ErrTLS):
		return ErrTLS
	case errors.Is(err, errNotHTTP):
		return badAnswer("it does not speak HTTP")
	}
	return err
}

var errNotHTTP = errors.New("the answer is not HTTP")

// plainConn is a connection for plain HTTP. It fails if the first byte that arrives is
// not one of HTTP.
type plainConn struct {
	net.Conn
	begun bool
}

// tlsAlert is the first byte of a TLS record that holds an alert.
const tlsAlert = 21

// Read reads, and looks at the first byte.
func (c *plainConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 || c.begun {
		return n, err
	}
	c.begun = true
	switch b[0] {
	case 'H':
		return n, err
	case tlsAlert:
		return 0, ErrTLS
	}
	return 0, errNotHTTP
}
