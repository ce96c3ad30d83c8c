package attack_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

// conn is a connection to the server that sends one request at a time.
type conn struct {
	net.Conn
	answers *bufio.Reader
	body    bytes.Buffer
	broken  bool // nothing can be sent any more
}

// reply is an answer. Its body is valid until the next request of its connection.
type reply struct {
	status int
	code   string // of a problem
	body   []byte
}

// dialFrom connects to the server, from a source address if one is given.
func dialFrom(ctx context.Context, address string, source net.IP) (*conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if source != nil {
		d.LocalAddr = &net.TCPAddr{IP: source}
		d.Control = anySource
	}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, answers: bufio.NewReaderSize(c, 4096)}, nil
}

// anySource lets a socket have any source address of IPv6 that is routed to this machine,
// as one of IPv4 can.
func anySource(network, _ string, c syscall.RawConn) (err error) {
	if network != "tcp6" {
		return nil
	}
	controlled := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1) })
	return errors.Join(controlled, err)
}

// do sends a request and reads its answer.
func (c *conn) do(request []byte, within time.Duration) (r reply, err error) {
	defer func() { c.broken = c.broken || err != nil }()
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return r, err
	}
	if _, err := c.Write(request); err != nil {
		return r, err
	}
	return c.read()
}

func (c *conn) read() (r reply, err error) {
	answer, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return r, err
	}
	defer answer.Body.Close()
	c.body.Reset()
	if _, err := io.Copy(&c.body, answer.Body); err != nil {
		return r, err
	}
	c.broken = answer.Close
	r = reply{status: answer.StatusCode, body: c.body.Bytes()}
	if r.status >= http.StatusBadRequest {
		r.code = codeOf(r.body)
	}
	return r, nil
}

// codeOf returns the code of a problem document.
func codeOf(body []byte) string {
	_, after, ok := bytes.Cut(body, []byte(`"code":"`))
	if !ok {
		return "none"
	}
	code, _, _ := bytes.Cut(after, []byte(`"`))
	return string(code)
}

// request returns the bytes of a request. The headers are lines without their ends.
func request(method, path, media string, body []byte, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if method == http.MethodPost {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", media, len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// openRequest returns a request for a challenge.
func openRequest(commitment protocol.Commitment, ttl time.Duration, headers ...string) []byte {
	body, err := json.Marshal(&api.ChallengeRequest{
		Claim: "open/1", Params: []byte(`{}`), Commitment: commitment, TTLMillis: uint32(ttl / time.Millisecond),
	})
	if err != nil {
		panic(err) // it has no value that JSON cannot hold
	}
	return request(http.MethodPost, "/v1/challenges", api.MediaJSON, body, headers...)
}

// answerRequest returns an answer in the bare form.
func answerRequest(id protocol.RequestID, tag protocol.Tag, proof []byte, headers ...string) []byte {
	return request(http.MethodPost, "/v1/challenges/"+id.String()+"/proof", api.MediaOctets, proof,
		append(headers, api.TagHeader+": "+tag.String())...)
}

// bearer returns the header line of an API key, none for "".
func bearer(token string) []string {
	if token == "" {
		return nil
	}
	return []string{"Authorization: Bearer " + token}
}

// issuedOf reads the id and the tag of a challenge.
func issuedOf(body []byte) (id protocol.RequestID, tag protocol.Tag, err error) {
	if id, err = protocol.Parse[protocol.RequestID](member(body, "request_id")); err != nil {
		return id, tag, err
	}
	tag, err = protocol.Parse[protocol.Tag](member(body, "tag"))
	return id, tag, err
}

// member returns a text of a compact JSON object, without parsing the whole.
func member(body []byte, name string) string {
	_, after, _ := strings.Cut(string(body), `"`+name+`":"`)
	value, _, _ := strings.Cut(after, `"`)
	return value
}
