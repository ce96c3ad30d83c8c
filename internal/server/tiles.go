package server

import (
	"regexp"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

// immutable is the Cache-Control of bytes that never change.
const immutable = "public, max-age=31536000, immutable"

// tilePath is the form of a path below /tile/ (C2SP tlog-tiles): a level or
// "entries", the number in groups of three digits, and the width of a partial
// tile. A path of another form never reaches the file system.
var tilePath = regexp.MustCompile(`^(?:entries|[0-9]|[1-5][0-9]|6[0-3])(?:/x[0-9]{3}){0,6}/[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?$`)

// getCheckpoint answers with the newest published checkpoint.
func (s *Server) getCheckpoint(e *exchange) error {
	note, err := s.cfg.Ledger.Read(e.ctx, "checkpoint")
	if err != nil {
		return err
	}
	e.w.Header().Set("Cache-Control", "no-cache")
	return e.bytes(api.MediaText, note)
}

// getTile answers with a tile or an entry bundle.
func (s *Server) getTile(e *exchange) error {
	name := e.r.PathValue("path")
	if !tilePath.MatchString(name) {
		return protocol.Fail(protocol.CodeNotFound, "not the path of a tile")
	}
	tile, err := s.cfg.Ledger.Read(e.ctx, "tile/"+name)
	if err != nil {
		return err
	}
	e.w.Header().Set("Cache-Control", immutable)
	return e.bytes(api.MediaOctets, tile)
}

// getSpec answers with the OpenAPI document.
func (s *Server) getSpec(e *exchange) error {
	e.w.Header().Set("Cache-Control", "no-cache")
	return e.bytes(api.MediaJSON, s.spec)
}

// getDocs answers with the page about the operations.
func (s *Server) getDocs(e *exchange) error {
	e.w.Header().Set("Cache-Control", "no-cache")
	e.w.Header().Set("Content-Security-Policy", s.docs.policy)
	return e.bytes("text/html; charset=utf-8", s.docs.body)
}
