package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/server"
)

// listenOps opens the ops listener; nil if there is to be none.
func listenOps(ctx context.Context, cfg *config.Config) (net.Listener, error) {
	if cfg.Ops == config.Off {
		return nil, nil //nolint:nilnil // there is none
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Ops)
	if err != nil {
		return nil, fault.New(fault.Config, fmt.Sprintf("cannot listen on %s: %v", cfg.Ops, err), "--ops names another address; port 0 takes any free one")
	}
	return l, nil
}

// serveOps answers the requests of the ops listener from now on, also while the node
// starts and stops.
func (n *node) serveOps() {
	if n.ops == nil {
		return
	}
	others := map[string]http.Handler{"GET /metrics": n.reporting.metrics.Handler()}
	if n.Settings.OpsPprof {
		others["GET /debug/pprof/{name}"] = http.HandlerFunc(profile)
	}
	h, _ := server.HTTPServer(server.Config{MaxConns: server.OpsConns, Log: n.Log}, server.NewOps(&n.health, server.Hosts(n.ops.Addr(), n.Settings.AllowHost), others))
	n.services.start("ops listener", func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = h.Close() })
		defer stop()
		if err := h.Serve(n.ops); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
}

// longestProfile bounds the time for which the processor is profiled.
const longestProfile = time.Minute

// profile writes a profile that go tool pprof reads: "profile" of the processor, for as
// many seconds as the query says, or one of those of package runtime/pprof. No form of a
// profile is offered that prints arguments of functions, as they may be secret.
func profile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	w.Header().Set("Content-Type", "application/octet-stream")
	if name != "profile" {
		p := pprof.Lookup(name)
		if p == nil {
			http.NotFound(w, r)
			return
		}
		_ = p.WriteTo(w, 0) // an error means that the client has left
		return
	}
	seconds, err := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64)
	if err != nil || seconds <= 0 {
		seconds = 10
	}
	if err := pprof.StartCPUProfile(w); err != nil {
		http.Error(w, "the processor is being profiled already", http.StatusConflict)
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-time.After(min(time.Duration(seconds*float64(time.Second)), longestProfile)):
	case <-r.Context().Done():
	}
}
