package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
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
	status []int         // of success
	answer []string      // media types of success
	limit  int64         // bytes of the answer
	same   bool          // the same request twice means the same
	wait   time.Duration // for which the server was asked to hold its answer back
	busy   protocol.Code // of an answer that says: a copy of this request is still in work
}

// result is a successful answer.
type result struct {
	status int
	body   []byte
}

// once makes a call without retries, in bounded time.
func (c *Client) once(ctx context.Context, call call) (result, error) {
	p, ctx := newPace(ctx, c.cfg.Timeout, min(call.wait, api.MaxWait*time.Second))
	defer p.stop()
	r, err := c.exchange(ctx, call, p)
	if slow := new(SlowError); errors.As(context.Cause(ctx), &slow) && err != nil {
		err = slow
	}
	return r, err
}

// exchange sends the request and reads the answer.
func (c *Client) exchange(ctx context.Context, call call, p *pace) (result, error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return result{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return result{}, foreignProtocol(err)
	}
	defer res.Body.Close()
	p.answered(res)
	if !slices.Contains(call.status, res.StatusCode) {
		return result{}, problemOf(res)
	}
	if !slices.Contains(call.answer, mediaType(res)) {
		return result{}, badAnswer("it sent %s", describe(res))
	}
	body, err := readAtMost(res.Body, call.limit)
	if err != nil && !errors.Is(err, ErrAnswer) {
		err = &url.Error{Op: "Read", URL: req.URL.String(), Err: err} // as for the head
	}
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
	if err := json.Unmarshal(r.body, out); err != nil || !resembles(r.body, out) {
		return 0, badAnswer("its body does not have the expected form")
	}
	return r.status, nil
}

// resembles reports whether an object has one of the members that a type requires. An
// object of another API has none of them, and would be read as one without values.
func resembles(object []byte, as any) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return false
	}
	for f := range reflect.TypeOf(as).Elem().Fields() {
		if name, omit, _ := strings.Cut(f.Tag.Get("json"), ","); omit == "" && members[name] != nil {
			return true
		}
	}
	return false
}

// getBytes reads an answer of one of these media types.
func (c *Client) getBytes(ctx context.Context, path string, limit int64, media ...string) ([]byte, error) {
	r, err := c.do(ctx, call{
		method: http.MethodGet, path: path, status: []int{http.StatusOK}, answer: media, limit: limit, same: true,
	})
	return r.body, err
}
