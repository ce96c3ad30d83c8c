package server

import (
	"context"
	"net/http"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// statusWriter records the status of the answer; 0 means none yet.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader records the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// exchange is one request and its answer.
type exchange struct {
	s      *Server
	w      *statusWriter
	r      *http.Request
	op     *operation
	ctx    context.Context // ends with the request's time
	who    principal.Principal
	pref   preference
	slots  chan struct{} // of its kind of requests; it takes one
	holds  bool
	taken  bool                // reading the body has begun
	issued *protocol.RequestID // set once a request was issued; goes into a problem
}

// fail answers with the problem of an error, unless an answer has begun.
func (e *exchange) fail(err error) {
	p := ProblemOf(err)
	p.RequestID = e.issued
	if p.Code == protocol.CodeInternal {
		e.s.cfg.Log.Error("request failed", "operation", e.op.id, "err", err)
	} else {
		e.s.cfg.Log.Debug("request refused", "operation", e.op.id, "code", p.Code.String())
	}
	if e.w.status == 0 {
		writeProblem(e.w, p)
	}
}

// acquire takes a slot, if one is free.
func (e *exchange) acquire() error {
	err := enter(e.slots)
	e.holds = err == nil
	return err
}

// enter takes one of some places, if one is free.
func enter(places chan<- struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	default:
		return protocol.Fail(protocol.CodeOverloaded, "too many requests at once")
	}
}

// release frees the slot.
func (e *exchange) release() {
	if e.holds {
		e.holds = false
		<-e.slots
	}
}

// body returns the request's body and its media type. The slot is released
// while the body arrives, so a slow client cannot block others.
func (e *exchange) body() ([]byte, string, error) {
	media, err := mediaType(e.r, e.op.media)
	if err != nil {
		return nil, "", err
	}
	for _, places := range []chan struct{}{e.s.bodies[e.op.id], e.s.arriving} {
		if err := enter(places); err != nil {
			return nil, "", err
		}
		defer func() { <-places }()
	}
	e.release()
	e.taken = true
	raw, err := readBody(e.w.ResponseWriter, e.r, e.op.limit)
	if err != nil {
		return nil, "", err
	}
	return raw, media, e.acquire()
}

// json answers with a JSON document.
func (e *exchange) json(status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	return e.bytes(status, api.MediaJSON, body)
}

// bytes answers with a body of any type.
func (e *exchange) bytes(status int, media string, body []byte) error {
	e.w.Header().Set("Content-Type", media)
	send(e.w, status, body)
	return nil
}

// requestID reads the id in the path.
func (e *exchange) requestID() (protocol.RequestID, error) {
	return protocol.Parse[protocol.RequestID](e.r.PathValue("id"))
}

// longestTurn bounds how long a request waits for its turn.
const longestTurn = 2 * time.Second

// turn waits for one of the few places for costly work; the caller releases it
// with done.
func (e *exchange) turn(places chan struct{}) (done func(), err error) {
	longest := time.NewTimer(longestTurn)
	defer longest.Stop()
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-longest.C:
		return nil, protocol.Fail(protocol.CodeOverloaded, "too many requests of this kind at once")
	case <-e.ctx.Done():
		return nil, e.ctx.Err()
	}
}

// waiting calls f with a context of length d, or of at most a glance if too
// many requests wait already. The slot is released while f runs, so a waiting
// client cannot block others. If no slot is free afterwards, the request is
// answered nevertheless, since little is left to do.
func (e *exchange) waiting(d time.Duration, f func(context.Context)) {
	if enter(e.s.waiters) == nil {
		defer func() { <-e.s.waiters }()
	} else {
		d = min(d, glance)
	}
	ctx, cancel := context.WithTimeout(e.ctx, d)
	defer cancel()
	e.release()
	defer func() { _ = e.acquire() }()
	f(ctx)
}
