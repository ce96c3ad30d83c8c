package cosign

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/receipt"
)

const (
	// addPath is the path of the one operation, below the URL of a cosigner.
	addPath = "/add-checkpoint"
	// sizeType is the media type of an answer that names the size to start from.
	sizeType = "text/x.tlog.size"

	maxProof   = 63                                   // lines
	maxRequest = receipt.MaxLogSize + 64*(maxProof+2) // bytes
	maxAtOnce  = 32                                   // requests
	maxConns   = 256
)

// ParseRequest reads the body of a request: a line "old SIZE", the hashes of the
// consistency proof, an empty line, and the checkpoint. Numbers and base64 are canonical.
func ParseRequest(body []byte) (r Request, err error) {
	head, checkpoint, ok := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	old, isOld := strings.CutPrefix(lines[0], "old ")
	n, err := strconv.ParseInt(old, 10, 64)
	if !ok || !isOld || err != nil || n < 0 || strconv.FormatInt(n, 10) != old {
		return r, fmt.Errorf("%w: it does not begin with the old size", ErrMalformed)
	}
	if len(lines)-1 > maxProof {
		return r, fmt.Errorf("%w: the proof has more than %d hashes", ErrMalformed, maxProof)
	}
	r = Request{Old: uint64(n), Note: checkpoint}
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != tlog.HashSize || strings.Contains(line, "\r") {
			return r, fmt.Errorf("%w: a line of the proof is no hash", ErrMalformed)
		}
		r.Proof = append(r.Proof, tlog.Hash(h))
	}
	return r, nil
}

// Encode returns the body of the request.
func (r *Request) Encode() []byte {
	b := fmt.Appendf(nil, "old %d\n", r.Old)
	for _, h := range r.Proof {
		b = fmt.Appendf(b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	return append(append(b, '\n'), r.Note...)
}

// Handler answers requests of C2SP tlog-witness. Observe, if not nil, is called with the
// outcome of each well-formed request.
type Handler struct {
	Cosigner *Cosigner
	Now      func() time.Time
	Observe  func(r *Request, err error)

	slots chan struct{}
}

// NewHandler returns a handler.
func NewHandler(c *Cosigner, now func() time.Time, observe func(*Request, error)) *Handler {
	return &Handler{c, now, observe, make(chan struct{}, maxAtOnce)}
}

// ServeHTTP answers one request. An answer repeats nothing of the request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.URL.Path != addPath:
		refuse(w, http.StatusNotFound, "no such path")
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "this path takes POST")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
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
	request, err := ParseRequest(body)
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
		w.Header().Set("Content-Type", sizeType)
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
	{ErrMalformed, http.StatusBadRequest},
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
	go func() { served <- s.Serve(&bounded{Listener: l, open: make(chan struct{}, maxConns)}) }()
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
