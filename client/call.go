package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/terradourada/td/api"
)

// maxJSON bounds JSON answers, in bytes; the longest is a list of claims.
const maxJSON = 4 << 20

// call is one request, and what its answer must be.
type call struct {
	method string
	path   string // below the base
	query  string
	media  string // of the body
	body   []byte
	header map[string]string
	status []int    // of success
	answer []string // media types of success
	limit  int64    // bytes of the answer
	same   bool     // the same request twice means the same
}

// result is a successful answer.
type result struct {
	status int
	body   []byte
}

// do makes a call, with retries.
func (c *Client) do(ctx context.Context, call call) (result, error) {
	for try := 0; ; try++ {
		r, err := c.once(ctx, call)
		if err == nil {
			return r, nil
		}
		pause, again := c.pause(err, call.same, try)
		if !again || ctx.Err() != nil {
			return result{}, err
		}
		if sleep(ctx, pause) != nil {
			return result{}, err
		}
	}
}

// pause reports whether a call is retried after an error, and after which time.
func (c *Client) pause(err error, same bool, try int) (time.Duration, bool) {
	if try >= c.cfg.Retries {
		return 0, false
	}
	growing := min(c.cfg.MaxPause, 200*time.Millisecond<<min(try, 10))
	growing = growing/2 + jitter(growing/2)
	var p *Problem
	switch {
	case errors.As(err, &p):
		asked := p.RetryAfter
		if asked > 0 {
			return asked + jitter(asked/4), p.Retryable && asked <= c.cfg.MaxPause
		}
		return growing, p.Retryable
	case errors.Is(err, ErrAnswer), errors.Is(err, ErrTLS), errors.As(err, new(*NotLiveError)):
		return 0, false
	default:
		return growing, same
	}
}

// jitter returns a random time below d, so that clients that were refused together do
// not retry together.
func jitter(d time.Duration) time.Duration {
	var b [8]byte
	rand.Read(b[:])
	return time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(max(d, 1)))
}

// ErrTLS is the error for a plain HTTP request to a port that speaks TLS.
var ErrTLS = errors.New("this port speaks TLS, and was asked in plain HTTP")

// tlsAlert is in the error of net/http for an answer that begins with a TLS alert
// record: type 21, version 3. This error has no type of its own.
const tlsAlert = `malformed HTTP response "\x15\x03`

// once makes a call without retries.
func (c *Client) once(ctx context.Context, call call) (result, error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return result{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if strings.Contains(err.Error(), tlsAlert) {
			err = ErrTLS
		}
		return result{}, err
	}
	defer res.Body.Close()
	if !slices.Contains(call.status, res.StatusCode) {
		return result{}, problemOf(res)
	}
	if !slices.Contains(call.answer, mediaType(res)) {
		return result{}, badAnswer("its media type is not %s", call.answer[0])
	}
	body, err := readAtMost(res.Body, call.limit)
	return result{res.StatusCode, body}, err
}

func (c *Client) request(ctx context.Context, call call) (*http.Request, error) {
	u := *c.base
	u.Path += call.path
	u.RawQuery = call.query
	req, err := http.NewRequestWithContext(ctx, call.method, u.String(), bytes.NewReader(call.body))
	if err != nil {
		return nil, err
	}
	for name, value := range call.header {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if call.media != "" {
		req.Header.Set("Content-Type", call.media)
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	return req, nil
}

func mediaType(res *http.Response) string {
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

// readAtMost reads all of r, which must not be longer than limit.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, badAnswer("it is longer than %d bytes", limit)
	}
	return b, nil
}

// postJSON sends v, reads the JSON answer into out, and returns the status.
func (c *Client) postJSON(ctx context.Context, call call, v, out any) (int, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	call.method, call.media, call.body = http.MethodPost, api.MediaJSON, body
	return c.json(ctx, call, out)
}

// getJSON reads the JSON answer of a path into out.
func (c *Client) getJSON(ctx context.Context, path string, out any) error {
	_, err := c.json(ctx, call{method: http.MethodGet, path: path, status: []int{http.StatusOK}, same: true}, out)
	return err
}

// json reads a JSON answer. Unknown members are ignored: a later version may send them.
func (c *Client) json(ctx context.Context, call call, out any) (int, error) {
	call.answer, call.limit = []string{api.MediaJSON}, maxJSON
	r, err := c.do(ctx, call)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(r.body, out); err != nil {
		return 0, badAnswer("its body does not have the expected form")
	}
	return r.status, nil
}

// getBytes reads an answer of one of these media types.
func (c *Client) getBytes(ctx context.Context, path string, limit int64, media ...string) ([]byte, error) {
	r, err := c.do(ctx, call{
		method: http.MethodGet, path: path, status: []int{http.StatusOK}, answer: media, limit: limit, same: true,
	})
	return r.body, err
}
