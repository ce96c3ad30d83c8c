package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// OpsConns is the greatest number of connections of the ops listener.
const OpsConns = 16

// Finding is one thing that is wrong with the server, or worth knowing.
type Finding struct {
	Code  string     `json:"code"` // stable
	Why   string     `json:"why"`  // in words; names nothing of this machine
	Since *time.Time `json:"since,omitempty"`
}

// Health reports how the server is. Its methods may be called from any goroutine, also
// while the server starts and stops.
type Health interface {
	// Alive returns why the process should be restarted; nothing if it should not.
	Alive(ctx context.Context) (faults []Finding)

	// Ready returns why the server cannot issue and accept; nothing if it can. Notes are
	// what an operator should know although the server is ready.
	Ready() (faults, notes []Finding)
}

// report is the answer of /healthz and /readyz.
type report struct {
	OK     bool      `json:"ok"`
	Faults []Finding `json:"faults"`
	Notes  []Finding `json:"notes"`
}

// aliveWithin bounds the wait for the parts of the server that must answer.
const aliveWithin = 5 * time.Second

// NewOps returns the handler of the ops listener: GET /healthz and GET /readyz, which
// answer 200 if there is no fault, otherwise 503, and what else is served by its pattern.
// host is as [Config.Host].
func NewOps(h Health, host func(host string) bool, others map[string]http.Handler) http.Handler {
	mux := http.NewServeMux()
	for pattern, other := range others {
		mux.Handle(pattern, other)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), aliveWithin)
		defer cancel()
		sendReport(w, h.Alive(ctx), nil)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		faults, notes := h.Ready()
		sendReport(w, faults, notes)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host != nil && !host(r.Host) {
			http.Error(w, "this server does not answer under the host name of the request", http.StatusForbidden)
			return
		}
		setHeaders(w.Header())
		mux.ServeHTTP(w, r)
	})
}

func sendReport(w http.ResponseWriter, faults, notes []Finding) {
	status := http.StatusOK
	if len(faults) > 0 {
		status = http.StatusServiceUnavailable
	}
	body, err := json.Marshal(report{len(faults) == 0, append([]Finding{}, faults...), append([]Finding{}, notes...)})
	if err != nil {
		panic("server: internal error: a finding has no JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	send(w, status, append(body, '\n'))
}
