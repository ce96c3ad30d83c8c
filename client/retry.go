package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"net/url"
	"time"
)

// firstPause is before the first retry where the server names no time. The pauses double.
const firstPause = 200 * time.Millisecond

// busyTries bounds how often a call is made whose copy is still in work, askAgain apart.
const busyTries = 20

// do makes a call, with retries.
func (c *Client) do(ctx context.Context, call call) (r result, err error) {
	err = c.loop(ctx, func() (err error) {
		r, err = c.once(ctx, call)
		return err
	}, func(err error, try int) (time.Duration, bool) { return c.pause(err, &call, try) })
	return r, err
}

// Anew calls f again if the answer to its request was lost, as long as [Config].Patience
// allows. f makes a new request each time, for what must not be sent twice.
func (c *Client) Anew(ctx context.Context, f func() error) error {
	return c.loop(ctx, f, func(err error, try int) (time.Duration, bool) { return c.growing(try), c.patient() && Lost(err) })
}

func (c *Client) patient() bool { return c.cfg.Patience > 0 }

// growing returns a pause that doubles with each try, with jitter.
func (c *Client) growing(try int) time.Duration {
	d := min(c.cfg.MaxPause, firstPause<<min(try, 10))
	return d/2 + jitter(d/2)
}

// loop is the only loop that repeats a failed call. The rule decides whether, and after
// which pause; Patience bounds both.
func (c *Client) loop(ctx context.Context, f func() error, rule func(err error, try int) (time.Duration, bool)) error {
	var failed time.Time // first
	for try := 0; ; try++ {
		err := f()
		if err == nil {
			return nil
		}
		now := time.Now()
		if failed.IsZero() {
			failed = now
		}
		pause, again := rule(err, try)
		if c.patient() {
			left := c.cfg.Patience - now.Sub(failed)
			pause, again = min(pause, left), again && left > 0
		}
		if !again || ctx.Err() != nil {
			return err
		}
		c.announce(err, now)
		if sleep(ctx, pause) != nil {
			return err
		}
	}
}

// pause reports whether a call is retried after an error, and after which time.
func (c *Client) pause(err error, call *call, try int) (time.Duration, bool) {
	tries := c.patient() || try < c.cfg.Retries
	var p *Problem
	switch {
	case errors.As(err, &p) && call.busy != 0 && p.Code == call.busy:
		return askAgain, try < busyTries && c.cfg.Retries >= 0
	case errors.As(err, &p):
		again := p.Retryable || c.patient() && call.same && gateway(err)
		if asked := p.RetryAfter; asked > 0 {
			return asked + jitter(asked/4), again && tries && (c.patient() || asked <= c.cfg.MaxPause)
		}
		return c.growing(try), again && tries
	case lasting(err):
		return 0, false
	case errors.As(err, new(*SlowError)):
		return c.growing(try), call.same && c.patient()
	}
	return c.growing(try), tries && (call.same || c.patient() && !sent(err))
}

// lasting reports whether an error stays the same however often the call is made.
func lasting(err error) bool {
	var notLive *NotLiveError
	if errors.As(err, &notLive) {
		return !notLive.changing
	}
	return errors.Is(err, ErrAnswer) || errors.Is(err, ErrTLS) || errors.Is(err, ErrPlain) ||
		errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(tls.RecordHeaderError)) || errors.As(err, new(tls.AlertError))
}

// sent reports whether a request may have reached the server. It did not if there was no
// connection.
func sent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") {
		return false
	}
	return !errors.As(err, new(*NotLiveError)) && !errors.As(err, new(*net.DNSError))
}

// Lost reports whether the request of a failed call may have reached the server although
// no answer arrived.
func Lost(err error) bool {
	if p := new(Problem); errors.As(err, &p) {
		return gateway(err) && !p.Retryable
	}
	network := errors.As(err, new(*url.Error)) || errors.As(err, new(*SlowError))
	return network && !lasting(err) && sent(err)
}

// gateway reports whether an error is of a proxy that does not reach the server.
func gateway(err error) bool {
	foreign := new(ForeignError)
	return errors.As(err, &foreign) && foreign.Gateway()
}

// announce calls Waiting, at most once in the time of Patience.
func (c *Client) announce(err error, now time.Time) {
	if c.cfg.Waiting == nil {
		return
	}
	c.waiting.Lock()
	defer c.waiting.Unlock()
	if c.announced.IsZero() || now.Sub(c.announced) > c.cfg.Patience {
		c.announced = now
		c.cfg.Waiting(err)
	}
}

// jitter returns a random time below d, so that clients that were refused together do
// not retry together.
func jitter(d time.Duration) time.Duration {
	var b [8]byte
	rand.Read(b[:])
	return time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(max(d, 1)))
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
