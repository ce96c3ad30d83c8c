package server

import (
	"context"
	"errors"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

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
	slots     chan struct{}            // one element per request that holds a slot
	status    chan struct{}            // the same for requests of the status
	arriving  chan struct{}            // one element per arriving body
	bodies    map[string]chan struct{} // by operation: one element per arriving body
	waiters   chan struct{}            // one element per request that waits
	verifying chan struct{}            // one element per receipt being verified
}

// New builds the handler.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:       cfg,
		mux:       http.NewServeMux(),
		slots:     make(chan struct{}, cfg.MaxRequests),
		bodies:    make(map[string]chan struct{}),
		status:    make(chan struct{}, statusPlaces),
		waiters:   make(chan struct{}, max(1, cfg.MaxRequests/2)),
		verifying: make(chan struct{}, cfg.MaxVerify),
	}
	// Some connections are always without a request or a body. So one of them can
	// be closed for a client that asks for the status.
	s.arriving = make(chan struct{}, max(1, cfg.MaxConns-cap(s.slots)-cap(s.waiters)-2*cap(s.status)))
	ops := s.operations()
	for _, op := range ops {
		if op.limit > 0 {
			s.bodies[op.id] = make(chan struct{}, max(1, maxBodies/op.limit))
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
var noOperation = operation{id: "none"}

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

// serve is the guard around every handler: headers, deadlines, bounds, panics,
// identity, problems, observation.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, op *operation, handler func(*exchange) error) {
	start := time.Now()
	setHeaders(w.Header())
	if r.ContentLength != 0 {
		// A writer without deadlines is a recorder of a test.
		_ = http.NewResponseController(w).SetReadDeadline(start.Add(s.cfg.BodyTimeout))
	}
	e := &exchange{s: s, w: &statusWriter{ResponseWriter: w}, r: r, op: op, slots: s.slots}
	if op.ownSlots {
		e.slots = s.status
	}
	err := s.run(e, handler)
	if err != nil {
		if r.ContentLength != 0 && !e.taken {
			release(r.Context())
		}
		err = reasonOf(r.Context(), err)
		e.fail(err)
	}
	s.cfg.Observe(Outcome{
		Operation: op.id,
		Code:      codeOf(err),
		Cause:     telemetry.CauseOf(err),
		Status:    e.w.status,
		Took:      time.Since(start),
	})
}

// reasonOf returns the *protocol.Error that is the cause of the end of the
// request's context, if a wait or a read ended with that context; otherwise it
// returns err. An error about an answer that may have been written is not
// replaced.
func reasonOf(ctx context.Context, err error) error {
	var said *protocol.Error
	code := protocol.CodeOf(err)
	if (code == protocol.CodeInternal || code == protocol.CodeNotFound) && errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &said) {
		return said
	}
	return err
}

// run runs the handler if a slot is free. It converts a panic of the handler into an
// internal error.
func (s *Server) run(e *exchange, handler func(*exchange) error) (err error) {
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
	if s.cfg.ReadOnly && (e.op.tag == tagPull || e.op.tag == tagPush) {
		return protocol.Fail(protocol.CodeForbidden, "this server is read-only: it serves a copy of a log")
	}
	if e.op.limit == 0 && e.r.ContentLength != 0 && e.op.id != noOperation.id {
		return protocol.Fail(protocol.CodeMalformedRequest, "this operation takes no body")
	}
	if e.who, err = s.identify(e.r, e.op.needs); err != nil {
		return err
	}
	pref := preferences(e.r.Header)
	ctx, cancel := context.WithTimeout(e.r.Context(), s.cfg.WorkTimeout+max(pref.wait, s.cfg.PushWait))
	defer cancel()
	e.pref, e.ctx = pref, ctx
	return handler(e)
}

// setHeaders sets the headers of every answer. They do not depend on the
// request.
func setHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// send writes one whole answer and bounds the time its reader may take.
func send(w http.ResponseWriter, status int, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(status)
	// An error here means that the client has left.
	_, _ = w.Write(body)
}
