package server

import (
	"net/http"
	"strconv"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

// listClaims answers with every verifying key of the log.
func (s *Server) listClaims(e *exchange) error {
	all, err := s.cfg.Records.Claims(e.ctx)
	if err != nil {
		return err
	}
	return e.read(&api.Claims{Claims: orEmpty(all)})
}

// getClaim answers with one verifying key.
func (s *Server) getClaim(e *exchange) error {
	fp, err := protocol.Parse[protocol.Digest](e.r.PathValue("fingerprint"))
	if err != nil {
		return err
	}
	all, err := s.cfg.Records.Claims(e.ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Fingerprint.Equal(fp) {
			return e.read(&all[i])
		}
	}
	return protocol.Fail(protocol.CodeNotFound, "no claim in the log has this fingerprint")
}

// listEpochs answers with the newest epochs.
func (s *Server) listEpochs(e *exchange) error {
	newest, err := s.cfg.Records.Epochs(e.ctx, api.MaxEpochs)
	if err != nil {
		return err
	}
	return e.read(&api.Epochs{Epochs: orEmpty(newest)})
}

// getEpoch answers with one epoch.
func (s *Server) getEpoch(e *exchange) error {
	n, err := e.epochNumber()
	if err != nil {
		return err
	}
	epoch, err := s.cfg.Records.Epoch(e.ctx, n)
	if err != nil {
		return err
	}
	return e.read(&epoch)
}

// getAttestation answers with the evidence about one epoch. It never changes,
// but it may appear after the epoch has begun.
func (s *Server) getAttestation(e *exchange) error {
	n, err := e.epochNumber()
	if err != nil {
		return err
	}
	evidence, err := s.cfg.Records.Attestation(e.ctx, n)
	if err != nil {
		return err
	}
	e.w.Header().Set("Cache-Control", immutable)
	return e.bytes(api.MediaOctets, evidence)
}

// epochNumber reads the number in the path: decimal, without leading zeros.
func (e *exchange) epochNumber() (uint64, error) {
	text := e.r.PathValue("n")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, protocol.Fail(protocol.CodeMalformedRequest, "an epoch is named by its number")
	}
	return n, nil
}

// getStatus answers with the state of the service.
func (s *Server) getStatus(e *exchange) error {
	status, err := s.cfg.Records.Status(e.ctx)
	if err != nil {
		return err
	}
	status.Holds = orEmpty(status.Holds)
	return e.read(&status)
}

// read answers with something that may change, so it must not be cached.
func (e *exchange) read(v any) error {
	e.w.Header().Set("Cache-Control", "no-cache")
	return e.json(http.StatusOK, v)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
