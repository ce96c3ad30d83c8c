package server

import (
	"net/http"
	"strings"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// identify returns who makes a request, and refuses one that they may not make, before
// anything of its body is read. A key that is not valid is refused everywhere, so that
// a client notices it. A scope that is limited to a claim is checked again once the
// claim is known.
func (s *Server) identify(r *http.Request, op principal.Operation) (who principal.Principal, err error) {
	given := r.Header.Values("Authorization")
	if len(given) > 0 {
		key, bearer := strings.CutPrefix(given[0], "Bearer ")
		if !bearer || len(given) > 1 {
			key = ""
		}
		if who, err = s.cfg.Clients().Authenticate(key, s.cfg.Now()); err != nil {
			return who, err
		}
	}
	switch {
	case op == principal.Public:
		return who, nil
	case who.Kind == principal.Anonymous && s.cfg.KeysOnly:
		return who, protocol.Fail(protocol.CodeUnauthenticated, "this operation needs an API key")
	default:
		return who, who.Allow(op, "")
	}
}
