package server

import (
	"context"
	"net/http"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// glance is how long a receipt is looked for when the client does not want to
// wait: about the time in which a leaf is published.
const glance = 500 * time.Millisecond

// getReceipt answers with the receipt of a request.
func (s *Server) getReceipt(e *exchange) error {
	id, err := e.requestID()
	if err != nil {
		return err
	}
	var r *receipt.Receipt
	e.waiting(max(e.pref.wait, glance), func(ctx context.Context) {
		r, err = s.cfg.Gate.Receipt(ctx, id)
	})
	if err != nil {
		return noReceipt(err)
	}
	body, err := r.Encode()
	if err != nil {
		return err
	}
	e.w.Header().Set("Cache-Control", "no-cache")
	return e.bytes(api.MediaReceipt, body)
}

// noReceipt adds that there may be a receipt later if the wait just ended.
func noReceipt(err error) error {
	if codeOf(err) == protocol.CodeOverloaded && protocol.CodeOf(err) == protocol.CodeInternal {
		return protocol.Wrap(protocol.CodeNotFound, "no receipt yet", err)
	}
	return err
}

// verifyReceipt runs the offline verifier.
func (s *Server) verifyReceipt(e *exchange) error {
	self, err := allowSelfAsserted(e.r)
	if err != nil {
		return err
	}
	raw, _, err := e.body()
	if err != nil {
		return err
	}
	r, err := receipt.Parse(raw)
	if err != nil {
		return err
	}
	done, err := e.turn(s.verifying)
	if err != nil {
		return err
	}
	options := s.cfg.Verify
	options.AllowSelfAsserted = self
	report := func() *receipt.Report {
		defer done() // before the answer: a client that does not read it holds no place
		return receipt.Verify(e.ctx, r, options)
	}()
	return e.json(http.StatusOK, report)
}

func allowSelfAsserted(r *http.Request) (bool, error) {
	switch r.URL.RawQuery {
	case "", "allow_self_asserted=false":
		return false, nil
	case "allow_self_asserted=true":
		return true, nil
	default:
		return false, protocol.Fail(protocol.CodeMalformedRequest, "the only query is allow_self_asserted=true or false")
	}
}
