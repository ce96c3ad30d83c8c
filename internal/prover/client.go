package prover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// Client sends jobs to one prover. It is safe for concurrent use.
type Client struct{ http http.Client }

// NewClient returns a client that connects to its prover by dial, with at most
// conns connections. It connects at its first request.
func NewClient(dial func(context.Context) (net.Conn, error), conns int) *Client {
	return &Client{http.Client{
		Transport: &http.Transport{
			DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			MaxConnsPerHost:        conns,
			MaxIdleConnsPerHost:    conns,
			IdleConnTimeout:        idleTimeout / 2, // before the prover's side closes them
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// errLost marks an exchange that broke off: the prover may be gone.
// errUnreached marks one that never began: nothing was sent.
var (
	errLost      = errors.New("prover: the exchange broke off")
	errUnreached = errors.New("prover: no connection")
)

// host stands in URLs; no name is ever looked up.
const host = "http://prover"

// Prove sends a job to the prover and returns its answer. The proof has not been
// verified and the tag has not been compared. The code of an error is overloaded if
// the prover is busy, prover_timeout if it has not answered by the deadline or the
// end of ctx, and prover_bad_response for every other fault of a prover.
func (c *Client) Prove(ctx context.Context, job *Job) (Answer, error) {
	ctx, cancel := context.WithDeadline(ctx, job.Deadline)
	defer cancel()
	if ctx.Err() != nil {
		return Answer{}, timeout(ctx)
	}
	body, err := encodeJob(job, time.Now())
	if err != nil {
		return Answer{}, err
	}
	defer clear(body)
	code, media, b, err := c.do(ctx, http.MethodPost, provePath, body)
	switch {
	case ctx.Err() != nil:
		return Answer{}, timeout(ctx)
	case err != nil:
		return Answer{}, badResponse("the prover did not answer properly", errors.Join(errLost, err))
	case code != http.StatusOK:
		return Answer{}, refused(code, b)
	case media != contentType:
		return Answer{}, badResponse("the prover's answer is of another kind", nil)
	}
	return decodeAnswer(b)
}

// Healthy reports whether the prover answers.
func (c *Client) Healthy(ctx context.Context) error {
	code, _, _, err := c.do(ctx, http.MethodGet, healthPath, nil)
	if err == nil && code != http.StatusNoContent {
		err = fmt.Errorf("prover: health is status %d", code)
	}
	return err
}

// Posture returns what the prover reports of its own protection.
func (c *Client) Posture(ctx context.Context) (sandbox.Posture, error) {
	code, _, b, err := c.do(ctx, http.MethodGet, posturePath, nil)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("prover: posture is status %d", code)
	}
	if err != nil {
		return sandbox.Posture{Profile: sandbox.Prover}, err
	}
	return sandbox.ParsePosture(sandbox.Prover, string(b))
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do sends one request and reads its answer, whose body is bounded.
func (c *Client) do(ctx context.Context, method, path string, body []byte) (code int, media string, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, host+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, "", nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = fmt.Errorf("prover: answer is longer than %d bytes", maxAnswer)
	}
	media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return resp.StatusCode, media, answer, err
}

// refused returns the error of a status other than 200. The request was made and
// checked on this side, so a sound prover refuses only for time and load.
func refused(code int, body []byte) error {
	switch code {
	case http.StatusServiceUnavailable:
		return protocol.Fail(protocol.CodeOverloaded, "the provers have enough to do")
	case http.StatusGatewayTimeout:
		return protocol.Fail(protocol.CodeProverTimeout, "no proof was ready before the deadline")
	}
	var r refusal
	if err := protocol.DecodeStrict(body, protocol.JSONLimits{Size: maxAnswer}, &r); err != nil {
		return badResponse("the prover refused the job", fmt.Errorf("prover: status %d without a code: %w", code, err))
	}
	// Its detail is not ours to repeat.
	return badResponse("the prover refused the job", fmt.Errorf("prover: status %d: %w", code, r.Code))
}

func timeout(ctx context.Context) error {
	return protocol.Wrap(protocol.CodeProverTimeout, "no proof was ready before the deadline", ctx.Err())
}
