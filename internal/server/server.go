package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Server is the public HTTP handler. It starts no goroutine and is ready at
// once.
type Server struct {
	cfg       Config
	mux       *http.ServeMux
	spec      []byte // the OpenAPI document
	docs      page
	slots     [lanes]chan struct{} // one element per request that holds a slot
	waiters   chan struct{}        // one element per request that waits
	waitersOf *limit.Conns         // the same for each source
	verifying chan struct{}        // one element per receipt being verified
	arriving  *transfers           // bodies
	leaving   *transfers           // answers of more than one piece
	places    [classes]int         // slots of each class; those of a lane are shared by its classes
	inWork    [classes]atomic.Int64
}

// classes is the number of classes of operations.
const classes = limit.Verify + 1

// Load returns, for a class of operations, how many requests hold a slot, and how many
// slots there are.
func (s *Server) Load(c limit.Class) (inWork, places int) {
	return int(s.inWork[c].Load()), s.places[c]
}

// New builds the handler.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:       cfg,
		mux:       http.NewServeMux(),
		waiters:   make(chan struct{}, max(1, cfg.MaxRequests/2)),
		waitersOf: limit.NewConns(max(1, cfg.MaxRequests/16)),
		verifying: make(chan struct{}, cfg.MaxVerify),
		arriving:  newTransfers(maxBodies, maxBodiesEach),
		leaving:   newTransfers(maxBodies, maxBodiesEach),
	}
	for l, n := range slotsOf(cfg.MaxRequests) {
		s.slots[l] = make(chan struct{}, n)
	}
	ops := s.operations()
	var counted [classes][lanes]bool
	for i := range ops {
		if class, lane := ops[i].class, ops[i].lane; !counted[class][lane] {
			counted[class][lane] = true
			s.places[class] += cap(s.slots[lane])
		}
	}
	s.spec = s.register(ops)
	s.docs = docsPage(ops)
	s.refuseTheRest(ops)
	return s
}

// refuseTheRest answers known paths with other methods and unknown paths.
func (s *Server) refuseTheRest(ops []operation) {
	allow := map[string][]string{}
	for _, op := range ops {
		methods := []string{op.method}
		if op.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		allow[op.pattern()] = append(allow[op.pattern()], methods...)
	}
	for pattern, methods := range allow {
		text := strings.Join(methods, ", ")
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", text)
			s.serve(w, r, &noOperation, func(*exchange) error {
				return protocol.Fail(protocol.CodeMethodNotAllowed, "this path takes "+text)
			})
		})
	}
	s.mux.HandleFunc("/", s.notFound)
	s.mux.HandleFunc("/tile", s.notFound) // the mux would redirect it to /tile/
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, &noOperation, func(*exchange) error {
		return protocol.Fail(protocol.CodeNotFound, "no such path; /docs lists the operations")
	})
}

// noOperation is the operation of requests that reach none.
var noOperation = operation{id: "none", class: limit.Read}

// ServeHTTP answers one request. The library would redirect a path that is not
// in its shortest form, and repeat the path; here it is not found.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.cfg.Host(r.Host) {
		s.serve(w, r, &noOperation, func(*exchange) error {
			return protocol.Fail(protocol.CodeForbidden, "this server does not answer under the host name of the request; --allow-host of td serve names further ones")
		})
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/") || !shortest(r.URL.Path) || r.Method == http.MethodConnect {
		s.notFound(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func shortest(p string) bool {
	clean := path.Clean(p)
	return p == clean || p == clean+"/"
}

// serve is the guard around every handler: headers, bounds, panics, identity, problems,
// the report.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, op *operation, handler func(*exchange) error) {
	start := time.Now()
	setHeaders(w.Header())
	e := s.newExchange(w, r, op)
	e.source = s.cfg.Resolve(e.remote(), r.Header)
	base := e.link.context(r)
	err := s.run(base, e, handler)
	if err != nil {
		err = reasonOf(base, err)
		e.fail(err)
	}
	e.report(start, err)
	e.end()
}

// reasonOf returns the *protocol.Error that is the cause of the end of the
// request's context, if a wait or a read ended with that context; otherwise it
// returns err. An error about an answer that may have been written is not
// replaced.
func reasonOf(ctx context.Context, err error) error {
	code := protocol.CodeOf(err)
	if (code == protocol.CodeInternal || code == protocol.CodeNotFound) && errors.Is(err, context.Canceled) {
		if said, ok := errors.AsType[*protocol.Error](context.Cause(ctx)); ok {
			return said
		}
	}
	return err
}

// run runs the handler if a slot is free. It converts a panic of the handler into an
// internal error.
func (s *Server) run(base context.Context, e *exchange, handler func(*exchange) error) (err error) {
	if err := e.acquire(); err != nil {
		return err
	}
	defer e.release()
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			panic(v)
		default:
			s.cfg.Log.Error("handler panicked", "operation", e.op.id, "panic", v, "stack", string(debug.Stack()))
			err = protocol.CodeInternal
		}
	}()
	framing := checkFraming(e.w.Header(), e.r)
	var unknown error
	e.who, unknown = s.identify(e.r, e.op.needs)
	if err := cmp.Or(e.admit(), framing, unknown); err != nil {
		return err
	}
	if s.cfg.ReadOnly && (e.op.tag == tagPull || e.op.tag == tagPush) {
		return protocol.Fail(protocol.CodeForbidden, "this server is read-only: it serves a copy of a log")
	}
	if e.op.limit == 0 && e.r.ContentLength != 0 && e.op.id != noOperation.id {
		return protocol.Fail(protocol.CodeMalformedRequest, "this operation takes no body")
	}
	if e.op.class == limit.Issue {
		if err := s.cfg.Gate.Busy(e.payer()); err != nil {
			return err
		}
	}
	pref := preferences(e.r.Header)
	ctx, cancel := context.WithTimeout(base, s.cfg.WorkTimeout+max(pref.wait, s.cfg.PushWait))
	defer cancel()
	e.pref, e.details = pref, new(telemetry.Details)
	e.ctx = telemetry.WithDetails(ctx, e.details)
	return handler(e)
}

// checkFraming refuses a body that does not announce its length. The library takes
// Transfer-Encoding for right where Content-Length contradicts it, and hides that there
// were both; a proxy in between may have taken the other. So the connection is closed, as
// is that of a client of HTTP/1.0, in which Transfer-Encoding has no meaning.
func checkFraming(h http.Header, r *http.Request) error {
	if !r.ProtoAtLeast(1, 1) {
		h.Set("Connection", "close")
	}
	if len(r.TransferEncoding) == 0 {
		return nil
	}
	h.Set("Connection", "close")
	return protocol.Fail(protocol.CodeMalformedRequest, "a body must have a Content-Length; Transfer-Encoding is not taken")
}

// The values of headers that most answers have. The answers share them, so nothing may
// write to them; Header.Set and Header.Add do not.
var (
	noSniff      = []string{"nosniff"}
	noContent    = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer   = []string{"no-referrer"}
	noStore      = []string{"no-store"}
	mediaProblem = []string{api.MediaProblem}
	mediaJSON    = []string{api.MediaJSON}
)

// setHeaders sets the headers of every answer. They do not depend on the
// request.
func setHeaders(h http.Header) {
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = noContent
	h["Referrer-Policy"] = noReferrer
	h["Cache-Control"] = noStore
}

// send writes one whole answer and bounds the time its reader may take.
func send(w http.ResponseWriter, status int, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(status)
	// An error here means that the client has left.
	_, _ = w.Write(body)
}
