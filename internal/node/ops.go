package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

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
	h := server.HTTPServer(server.Config{MaxConns: server.OpsConns, Log: n.Log}, server.NewOps(&n.health, server.Hosts(n.ops.Addr(), n.Settings.AllowHost)))
	n.services.start("ops listener", func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = h.Close() })
		defer stop()
		if err := h.Serve(n.ops); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
}
