package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// statusWriter records the status of the answer; 0 means none yet.
type statusWriter struct {
	http.ResponseWriter
	status int
	sent   int // bytes of the body
}

// WriteHeader records the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes of the answer.
func (w *statusWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.sent += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// exchange is one request and its answer.
type exchange struct {
	s      *Server
	w      statusWriter
	r      *http.Request
	link   *link
	op     *operation
	ctx    context.Context // ends with the request's time, not with its connection
	source limit.Source
	who    principal.Principal
	pref   preference
	slots  chan struct{} // of its kind of requests; it takes one
	holds  bool
	taken  int             // bytes of the body
	whole  bool            // the whole body was read
	lost   telemetry.Cause // why the answer did not reach the client
	waited time.Duration   // for a turn, or for another event

	details *telemetry.Details  // that the gate fills in; nil if it was not asked
	issued  *protocol.RequestID // set once a request was issued; goes into a problem
	text    []byte              // of the answer; its room is used again
}

// exchanges holds exchanges that have ended, for the next ones: they would be a tenth of
// what a refused request allocates, and more for an issued challenge.
var exchanges sync.Pool

// Sizes of the text of an exchange, in bytes: more than most answers take, and the most
// that it keeps for the next one.
const (
	usualText = 1 << 10
	mostText  = 4 << 10
)

// newExchange returns the exchange of a request; end must be called after its report.
func (s *Server) newExchange(w http.ResponseWriter, r *http.Request, op *operation) *exchange {
	e, _ := exchanges.Get().(*exchange)
	if e == nil {
		e = &exchange{text: make([]byte, 0, usualText)}
	}
	*e = exchange{s: s, w: statusWriter{ResponseWriter: w}, r: r, link: linkOf(r), op: op, slots: s.slots[op.lane], text: e.text}
	return e
}

// end forgets the request, whose answer may hold a tag. Nothing may use the exchange
// afterwards.
func (e *exchange) end() {
	text := e.text[:cap(e.text)]
	clear(text)
	if len(text) > mostText {
		text = nil
	}
	*e = exchange{text: text[:0]}
	exchanges.Put(e)
}

// fail answers with the problem of an error, unless an answer has begun.
func (e *exchange) fail(err error) {
	p := problemOf(err)
	p.RequestID = e.issued
	if p.Code == protocol.CodeInternal {
		e.s.cfg.Log.Error("request failed", "operation", e.op.id, "err", err)
	} else if e.s.cfg.Log.Enabled(e.r.Context(), slog.LevelDebug) { // the values of the line cost something
		e.s.cfg.Log.Debug("request refused", "operation", e.op.id, "code", p.Code.String())
	}
	if e.w.status != 0 {
		return
	}
	if p.Code == protocol.CodeOverloaded {
		p.RetryAfter = jitter(p.RetryAfter)
	}
	body := e.encodeProblem(&p)
	problemHeaders(e.w.Header(), &p)
	if conn := http.NewResponseController(&e.w); e.unread(conn) {
		// The library closes the connection then. A client that is still sending would lose
		// the answer if nothing was read.
		defer func() {
			_ = conn.Flush()
			_ = conn.SetReadDeadline(time.Now().Add(lingering))
		}()
	}
	_ = e.leave(p.Status, body) // a problem takes no room
}

// unread reads the body of a refused request if it is short and has arrived, and reports
// whether some is missing. The library would wait for the rest before it sends the answer;
// it does not with the deadline that is set here.
func (e *exchange) unread(conn *http.ResponseController) bool {
	if e.whole || e.r.ContentLength == 0 {
		return false
	}
	if n := e.r.ContentLength; n > 0 && n <= pieceSize && e.r.Header.Get("Expect") == "" && conn.SetReadDeadline(time.Now().Add(glimpse)) == nil {
		_, err := io.Copy(io.Discard, e.r.Body) // which ends after the announced length
		e.whole = err == nil
	}
	if !e.whole {
		_ = conn.SetReadDeadline(longAgo)
	}
	return !e.whole
}

// jitter returns a time that is up to a fifth shorter or longer, in whole seconds, so that
// clients which were refused together do not return together.
func jitter(d time.Duration) time.Duration {
	return max(time.Second, (d*4/5 + rand.N(d*2/5+1)).Round(time.Second)) //nolint:gosec // no secret
}

// report reports the request, once.
func (e *exchange) report(start time.Time, err error) {
	now := time.Now()
	r := telemetry.Request{
		At: now, Operation: e.op.id, Source: e.source.Addr, Client: e.source.Client,
		Code: codeOf(err), Cause: telemetry.CauseOf(err), Status: e.w.status,
		Waited: e.waited, Took: now.Sub(start), Received: int64(e.taken), Sent: int64(e.w.sent),
	}
	if r.Code == protocol.CodeOverloaded && r.Cause == telemetry.Fault {
		r.Cause = telemetry.Overloaded // the time of the request was over
	}
	if r.Cause == telemetry.NoCause {
		r.Cause = e.lost
	}
	if e.details != nil {
		e.details.Into(&r)
	}
	e.failed(r.Cause)
	e.s.cfg.Observe(r)
}

// payer returns to whom the request is charged.
func (e *exchange) payer() limit.Payer { return e.s.cfg.Gate.Payer(e.source) }

// acquire takes a slot, if one is free.
func (e *exchange) acquire() error {
	err := enter(e.slots)
	if e.holds = err == nil; e.holds {
		e.s.inWork[e.op.class].Add(1)
	}
	return err
}

var errNoSlot = protocol.Fail(protocol.CodeOverloaded, "too many requests at once")

// enter takes one of some places, if one is free.
func enter(places chan<- struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	default:
		return errNoSlot
	}
}

// release frees the slot.
func (e *exchange) release() {
	if e.holds {
		e.holds = false
		e.s.inWork[e.op.class].Add(-1)
		<-e.slots
	}
}

// body returns the request's body and its media type. The slot is released and the
// connection can be closed while the body arrives, so a slow client cannot block others.
func (e *exchange) body() ([]byte, string, error) {
	media, err := mediaType(e.r, e.op.media)
	if err != nil {
		return nil, "", err
	}
	if e.r.ContentLength > e.op.limit {
		return nil, "", tooLarge(e.op.limit)
	}
	e.release()
	e.link.waits(true)
	raw, err := e.arrive()
	if err != nil {
		return nil, "", err
	}
	e.link.waits(false)
	return raw, media, e.acquire()
}

// arrive reads the whole body, which must keep its pace.
func (e *exchange) arrive() (raw []byte, err error) {
	announced := int(e.r.ContentLength)
	room, err := e.s.arriving.begin(e.counted(), int64(announced), false, http.NewResponseController(&e.w).SetReadDeadline)
	if err != nil {
		return nil, err
	}
	pace, start := e.s.cfg.arrival(), time.Now()
	raw = make([]byte, 0, min(announced, pieceSize)+1) // the last byte is for the end
	for err == nil {
		if err := room.until(pace.due(start, len(raw))); errors.Is(err, errNoRoom) {
			return nil, err
		}
		raw = slices.Grow(raw, 1)
		var n int
		n, err = e.r.Body.Read(raw[len(raw):min(cap(raw), announced+1)])
		raw = raw[:len(raw)+n]
		e.taken = len(raw)
	}
	switch lost := room.end(); {
	case err == io.EOF: //nolint:errorlint // of the library, never wrapped
		e.whole = true
		return raw, nil
	case lost != nil:
		return nil, lost
	default:
		return nil, bodyError(err)
	}
}

// counted returns the source by which the bytes of this request are counted; the zero
// Addr for one that is only counted in all.
func (e *exchange) counted() netip.Addr {
	if e.source.Local {
		return netip.Addr{}
	}
	return limit.Host(e.source.Addr)
}

// json answers with a JSON document.
func (e *exchange) json(status int, v any) error {
	body, err := e.encode(v)
	if err != nil {
		return err
	}
	e.w.Header()["Content-Type"] = mediaJSON
	return e.leave(status, body)
}

// bytes answers with a body of any type.
func (e *exchange) bytes(media string, body []byte) error {
	e.w.Header().Set("Content-Type", media)
	return e.leave(http.StatusOK, body)
}

// leave writes one whole answer, piece by piece, each of which the client must take in
// time. The slot is released and the connection can be closed meanwhile, so a client that
// does not read cannot block others.
func (e *exchange) leave(status int, body []byte) error {
	room, err := e.roomFor(body)
	if err != nil {
		return err
	}
	if room != nil {
		defer func() { _ = room.end() }()
	}
	e.release()
	e.link.waits(true)
	e.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	start := time.Now()
	for sent := 0; sent < len(body); {
		piece := body[sent:min(len(body), sent+pieceSize)]
		sent += len(piece)
		if due := departure.due(start, sent); room == nil {
			_ = http.NewResponseController(&e.w).SetWriteDeadline(due)
		} else if errors.Is(room.until(due), errNoRoom) {
			e.lost = telemetry.Slow
			break
		}
		if e.w.status == 0 {
			e.w.WriteHeader(status)
		}
		if _, err := e.w.Write(piece); err != nil {
			e.lost = telemetry.Gone
			if errors.Is(err, os.ErrDeadlineExceeded) {
				e.lost = telemetry.Slow
			}
			break
		}
	}
	return nil
}

// roomFor takes the room of an answer; nil if it needs none because it is of one piece.
// An answer to what has been done is kept: the client cannot get the opening of its event
// a second time.
func (e *exchange) roomFor(body []byte) (*transfer, error) {
	if len(body) <= pieceSize {
		return nil, nil //nolint:nilnil // no room is needed
	}
	return e.s.leaving.begin(e.counted(), int64(len(body)), e.issued != nil, http.NewResponseController(&e.w).SetWriteDeadline)
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
	defer e.waitedSince(time.Now())
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-longest.C:
		return nil, protocol.Fail(protocol.CodeOverloaded, "too many requests of this kind at once")
	case <-e.ctx.Done():
		return nil, e.ctx.Err()
	}
}

// waitedSince counts a wait.
func (e *exchange) waitedSince(begin time.Time) { e.waited += time.Since(begin) }

// mayWait takes one of the places of requests that wait, of which each source has a part:
// a wait goes on after its client has left.
func (e *exchange) mayWait() (leave func(), ok bool) {
	if !e.s.waitersOf.Acquire(e.source.Addr) {
		return nil, false
	}
	if enter(e.s.waiters) != nil {
		e.s.waitersOf.Release(e.source.Addr)
		return nil, false
	}
	return func() {
		<-e.s.waiters
		e.s.waitersOf.Release(e.source.Addr)
	}, true
}

// waiting calls f with a context of length d, or of at most a glance if too
// many requests wait already. The slot is released while f runs, so a waiting
// client cannot block others. If no slot is free afterwards, the request is
// answered nevertheless, since little is left to do.
func (e *exchange) waiting(d time.Duration, f func(context.Context)) {
	if leave, ok := e.mayWait(); ok {
		defer leave()
	} else {
		d = min(d, glance)
	}
	ctx, cancel := context.WithTimeout(e.ctx, d)
	defer cancel()
	e.release()
	defer func() { _ = e.acquire() }()
	defer e.waitedSince(time.Now())
	f(ctx)
}
