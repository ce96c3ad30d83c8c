package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// minRate is what an answer must arrive with on average, in bytes a second, beside the
// time of [Config].Timeout.
const minRate = 1 << 10

// SlowError is the end of a call whose answer did not arrive in time.
type SlowError struct {
	Answered bool          // the answer began
	Within   time.Duration // the call was given
}

// Error says what did not arrive.
func (e *SlowError) Error() string {
	if e.Answered {
		return fmt.Sprintf("the server sends its answer too slowly: it was not complete within %s", e.Within)
	}
	return fmt.Sprintf("the server accepted the connection and sent no answer within %s", e.Within)
}

// pace bounds a call: connection, request and the head of the answer, then its body.
// The body gets more time with each byte that arrives.
type pace struct {
	timer   *time.Timer
	cancel  context.CancelCauseFunc
	timeout time.Duration
	began   time.Time
	ends    time.Time
	body    io.ReadCloser
}

// newPace begins a call whose answer the server may hold back for wait. The context ends
// with a [SlowError].
func newPace(ctx context.Context, timeout, wait time.Duration) (*pace, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &pace{cancel: cancel, timeout: timeout, began: time.Now()}
	within := timeout + max(wait, 0)
	p.timer = time.AfterFunc(within, func() { cancel(&SlowError{Within: within}) })
	return p, ctx
}

func (p *pace) stop() {
	p.timer.Stop()
	p.cancel(nil)
}

// answered begins to bound the body of an answer.
func (p *pace) answered(res *http.Response) {
	p.timer.Stop()
	p.ends = time.Now().Add(p.timeout)
	p.timer = time.AfterFunc(p.timeout, func() {
		p.cancel(&SlowError{Answered: true, Within: time.Since(p.began).Round(time.Millisecond)})
	})
	p.body, res.Body = res.Body, p
}

// Read reads of the body.
func (p *pace) Read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	p.ends = p.ends.Add(time.Duration(n) * time.Second / minRate)
	p.timer.Reset(time.Until(p.ends))
	return n, err
}

// Close closes the body.
func (p *pace) Close() error { return p.body.Close() }
