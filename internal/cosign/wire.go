package cosign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/internal/limit"
)

const (
	maxAtOnce  = 32 // requests
	maxConns   = 256
	maxOfOneIP = 32 // connections; loopback is not bounded
)

// Handler answers requests of C2SP tlog-witness. Observe, if not nil, is called with the
// outcome of each well-formed request.
type Handler struct {
	Cosigner *Cosigner
	Now      func() time.Time
	Observe  func(r *addcheckpoint.Request, err error)

	slots chan struct{}
}

// NewHandler returns a handler.
func NewHandler(c *Cosigner, now func() time.Time, observe func(*addcheckpoint.Request, error)) *Handler {
	return &Handler{c, now, observe, make(chan struct{}, maxAtOnce)}
}

// ServeHTTP answers one request. An answer repeats nothing of the request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.URL.Path != addcheckpoint.Path:
		refuse(w, http.StatusNotFound, "no such path")
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "this path takes POST")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, addcheckpoint.MaxRequest))
	if errors.As(err, new(*http.MaxBytesError)) {
		refuse(w, http.StatusRequestEntityTooLarge, "the request is too large")
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the request could not be read")
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		refuse(w, http.StatusServiceUnavailable, "too many requests at once")
		return
	}
	h.add(w, r, body)
}

func (h *Handler) add(w http.ResponseWriter, r *http.Request, body []byte) {
	request, err := addcheckpoint.ParseRequest(body)
	if err != nil {
		answer(w, "", err)
		return
	}
	// A client that goes away must not stop a decision half way.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), decideTimeout)
	defer cancel()
	lines, err := h.Cosigner.Add(ctx, request, h.Now())
	if h.Observe != nil {
		h.Observe(&request, err)
	}
	answer(w, lines, err)
}

// answer writes the cosignature, or the status of a refusal.
func answer(w http.ResponseWriter, lines string, err error) {
	var size *SizeError
	if errors.As(err, &size) {
		w.Header().Set("Content-Type", addcheckpoint.SizeType)
		w.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprintf(w, "%d\n", size.Size)
		return
	}
	if err == nil {
		_, _ = io.WriteString(w, lines)
		return
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			refuse(w, s.status, s.err.Error())
			return
		}
	}
	refuse(w, http.StatusInternalServerError, "the cosigner failed")
}

// statuses are those of the refusals.
var statuses = []struct {
	err    error
	status int
}{
	{addcheckpoint.ErrMalformed, http.StatusBadRequest},
	{ErrUnknownLog, http.StatusNotFound},
	{ErrOtherTree, http.StatusConflict},
	{ErrProof, http.StatusUnprocessableEntity},
	{ErrForeignKey, http.StatusForbidden},
	{ErrOldKey, http.StatusForbidden},
	{ErrUnavailable, http.StatusServiceUnavailable},
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

const (
	decideTimeout = time.Minute // of one decision, with reading the bound server
	readTimeout   = 20 * time.Second
	idleTimeout   = time.Minute
	endTimeout    = 10 * time.Second
)

// Serve answers requests at a listener until ctx ends, and then lets those in work end.
func Serve(ctx context.Context, l net.Listener, h *Handler) error {
	s := &http.Server{
		Handler:           h,
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: readTimeout,
		WriteTimeout:      readTimeout + decideTimeout + readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    8 << 10,
	}
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(&bounded{Listener: l, open: make(chan struct{}, maxConns), each: limit.NewConns(maxOfOneIP)})
	}()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	err := s.Shutdown(end)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	<-served
	return err
}
