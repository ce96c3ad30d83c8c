package prover

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// Config says how [Serve] works. Zero values mean the defaults.
type Config struct {
	Workers int          // proofs made at a time; default one per processor
	Queue   int          // jobs that may wait besides; default four per worker
	Log     *slog.Logger // nil discards

	// Peer decides who may connect; the connection is closed on an error. nil
	// admits Unix sockets whose other end belongs to this process's user.
	Peer func(net.Conn) error

	// Posture is what the process answers about its own protection; see the package
	// sandbox.
	Posture string
}

func (c Config) withDefaults() Config {
	c.Workers = cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	c.Queue = cmp.Or(c.Queue, 4*c.Workers)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Peer == nil {
		c.Peer = userPeer(os.Geteuid())
	}
	return c
}

// Times that bound a connection. A job's own time bounds the rest.
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	closeGrace    = time.Second
)

// Serve answers jobs on the listener with the claims that p has loaded, until
// ctx ends or the listener does. It closes the listener. Proofs that are being
// made when ctx ends get a second to finish.
func Serve(ctx context.Context, ln net.Listener, p *claim.Prover, cfg Config) error {
	cfg = cfg.withDefaults()
	s := &server{
		prover: p,
		log:    cfg.Log,
		about:  cfg.Posture,
		places: make(chan struct{}, cfg.Workers+cfg.Queue),
		slots:  make(chan struct{}, cfg.Workers),
	}
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true,
	}
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer cancel()
		_ = h.Shutdown(grace)
		_ = h.Close()
	})
	defer stop()
	err := h.Serve(&guard{Listener: ln, cfg: cfg, room: make(chan struct{}, 2*(cfg.Workers+cfg.Queue)+8)})
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// server is the handler.
type server struct {
	prover *claim.Prover
	log    *slog.Logger
	about  string        // its posture
	places chan struct{} // one element per job that is here
	slots  chan struct{} // one element per proof being made
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == healthPath && r.Method == http.MethodGet:
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == posturePath && r.Method == http.MethodGet:
		_, _ = io.WriteString(w, s.about) // a client that is gone needs no answer
	case r.URL.Path == provePath && r.Method == http.MethodPost:
		s.answer(w, r)
	case r.URL.Path == healthPath || r.URL.Path == provePath || r.URL.Path == posturePath:
		refuse(w, protocol.Fail(protocol.CodeMethodNotAllowed, "this path takes another method"))
	default:
		refuse(w, protocol.Fail(protocol.CodeNotFound, "no such path"))
	}
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		refuse(w, protocol.Fail(protocol.CodeOverloaded, "the prover has enough to do"))
		return
	}
	t, err := read(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	defer t.assignment.Wipe()
	ctx, cancel := context.WithDeadline(r.Context(), start.Add(t.timeout))
	defer cancel()
	proof, err := s.prove(ctx, t)
	s.log.Debug("job done", "claim", t.statement.Claim().String(), "code", protocol.CodeOf(err).String(), "ms", time.Since(start).Milliseconds())
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, answer{Proof: protocol.EncodeBase64(proof), Tag: t.tag})
}

// read takes in one request body.
func read(w http.ResponseWriter, r *http.Request) (*task, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	defer clear(body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, protocol.Fail(protocol.CodeTooLarge, "the request is too large")
	}
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeMalformedRequest, "the request ends early", err)
	}
	return decodeTask(body)
}

// prove waits for a processor and makes the proof, unless the time is over
// before it can begin. A proof that is ready too late is not sent.
func (s *server) prove(ctx context.Context, t *task) ([]byte, error) {
	late := func() error {
		return protocol.Wrap(protocol.CodeProverTimeout, "the job's time is over", ctx.Err())
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, late()
	}
	proof, err := s.prover.Prove(ctx, t.statement, t.inputs, &t.assignment)
	if ctx.Err() != nil {
		return nil, late()
	}
	return proof, err
}

func refuse(w http.ResponseWriter, err error) {
	code := protocol.CodeOf(err)
	reply(w, status(code), refusal{Code: code, Detail: protocol.DetailOf(err)})
}

func reply(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic("prover: internal error: answer does not encode: " + err.Error())
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that is gone needs no answer
}
