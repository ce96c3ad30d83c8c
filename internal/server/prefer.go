package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/terradourada/td/api"
)

// preference holds the Prefer headers of a request (RFC 7240).
type preference struct {
	async bool          // respond-async
	waits bool          // a wait was given
	wait  time.Duration // 0..api.MaxWait seconds
}

// preferences reads the Prefer headers. Unknown and malformed preferences are
// ignored; of two the first counts, as the RFC says.
func preferences(h http.Header) preference {
	var p preference
	for token := range strings.SplitSeq(strings.Join(h.Values("Prefer"), ","), ",") {
		name, value, _ := strings.Cut(token, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.Trim(strings.TrimSpace(value), `"`)
		switch {
		case name == "respond-async":
			p.async = true
		case name == "wait" && !p.waits:
			if n, err := strconv.ParseUint(value, 10, 31); err == nil {
				p.waits, p.wait = true, time.Duration(min(n, api.MaxWait))*time.Second
			}
		}
	}
	return p
}
