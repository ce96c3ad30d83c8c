package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/protocol"
)

// listen opens the public listener, with TLS if there is a certificate. The header of the
// PROXY protocol comes before TLS.
func listen(ctx context.Context, cfg *config.Config, cert *certificate, conns *limit.Conns) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fault.New(fault.Config, fmt.Sprintf("cannot listen on %s: %v", cfg.Listen, err), "--listen names another address; port 0 takes any free one")
	}
	if cfg.ClientAddress == config.AddressPROXY {
		l = &proxied{Listener: l, trusted: cfg.Proxies(), conns: conns}
	}
	if cert == nil {
		return l, nil
	}
	return tls.NewListener(l, &tls.Config{
		GetCertificate: cert.get,
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"http/1.1"},
	}), nil
}

// isLoopback reports whether only this machine can reach the listener.
func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// checkKeys refuses a listener that others can reach if no client could authenticate
// itself.
func (n *node) checkKeys() error {
	local := isLoopback(n.listener.Addr())
	n.bounds.KeysOnly = !local || n.Settings.Authenticate
	n.bounds.Clients = n.records.journal.Clients
	if !n.bounds.KeysOnly || n.records.journal.Clients().Usable(now()) {
		return nil
	}
	if local || n.Settings.ReadOnly {
		n.Log.Warn("no client has a valid API key; only the public log can be read")
		return nil
	}
	return fault.New(fault.Config, fmt.Sprintf("others can reach %s, and no client has a valid API key", n.listener.Addr()),
		"listen on 127.0.0.1 until a client has one; see docs/security/clients.md")
}

// openHTTP makes what answers the requests of the listener. It reads from the
// records; of the machine it needs only that it is wired.
func (n *node) openHTTP(ctx context.Context) (err error) {
	if n.reader, err = newReader(ctx, n.machine, n.Version); err != nil {
		return err
	}
	cfg := n.serverConfig()
	if cfg.Verify, err = n.records.verifyOptions(ctx, n.lists); err != nil {
		return err
	}
	n.makeHTTP(cfg)
	return nil
}

// makeHTTP makes the server of the listener.
func (n *node) makeHTTP(cfg server.Config) {
	n.load.server = server.New(cfg)
	n.http, n.load.connections = server.HTTPServer(cfg, n.load.server)
}

// serverConfig returns what the server of the listener needs, without the options of
// verification.
func (n *node) serverConfig() server.Config {
	cfg := n.bounds
	cfg.Records = n.reader
	cfg.ReadOnly = n.Settings.ReadOnly
	cfg.Gate = n.machine.gate
	cfg.Ledger = n.records.ledger
	cfg.Log = n.Log
	cfg.Now = now
	cfg.BodyTimeout = n.Settings.BodyTimeout
	cfg.Host = server.Hosts(n.listener.Addr(), n.Settings.AllowHost)
	n.instrument(&cfg)
	return cfg
}

// instrument sets what limits and reports requests.
func (n *node) instrument(cfg *server.Config) {
	cfg.Observe = n.reporting.events.Request
	cfg.Limits = n.limits
	cfg.Resolve = n.limits.resolve
	cfg.Peers = peers{n.limits}
	cfg.RateLimit = n.Settings.LimitFields
}

// serve serves until ctx ends or a service ends, then lets the requests in work end.
func (n *node) serve(ctx context.Context) (err error) {
	// Verifications may keep every processor busy for milliseconds, and the collector of
	// garbage one more thread. With two more threads than processors the kernel lets one read
	// a request, or the answer of a keyholder, meanwhile. What has its size from the number
	// of processors is set up already.
	processors := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors + 2))
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	n.http.BaseContext = func(net.Listener) context.Context { return base }
	served := make(chan error, 1)
	go func() { served <- n.http.Serve(n.listener) }()
	n.health.serving.Store(n.reader)
	n.Ready(n.ready())
	if n.Notify != nil {
		n.notify(n.Notify.Ready(n.health.words()))
		n.services.start("report to the service manager", n.report)
	}
	select {
	case <-ctx.Done():
		n.Log.Info("stopping", "grace_ms", n.Settings.ShutdownGrace.Milliseconds())
	case err = <-served:
		return fmt.Errorf("listener: %w", err)
	case ended := <-n.services.ended:
		err = fmt.Errorf("%s ended by itself: %w", ended.name, ended.reason())
	}
	n.health.stopping.Store(true)
	n.notify(n.Notify.Stopping())
	n.drain(ctx, cut)
	return err
}

// notify logs that the service manager was not notified, which ends nothing.
func (n *node) notify(err error) {
	if err != nil {
		n.Log.Warn("service manager not notified", "err", err)
	}
}

// ready describes this server.
func (n *node) ready() Ready {
	scheme := "http"
	if n.Settings.TLSCert != "" {
		scheme = "https"
	}
	cp, _ := n.records.ledger.Latest()
	r := Ready{URL: scheme + "://" + n.listener.Addr().String(), Origin: n.records.journal.Origin(), Published: cp.Size, Reload: n.reload}
	r.Sealed = n.machine != nil && n.machine.sealed // a read-only server has none
	if n.ops != nil {
		r.Ops = "http://" + n.ops.Addr().String()
	}
	return r
}

// lastAnswers is the time that clients have, after the grace, to receive the answer
// that the server stops.
const lastAnswers = time.Second

// drain closes the listener and waits for the requests in work until the grace ends.
// Then it answers the others with draining.
func (n *node) drain(ctx context.Context, cut context.CancelCauseFunc) {
	ctx = context.WithoutCancel(ctx)
	grace, cancel := context.WithTimeout(ctx, n.Settings.ShutdownGrace)
	defer cancel()
	last, cancelLast := context.WithTimeout(ctx, n.Settings.ShutdownGrace+lastAnswers)
	defer cancelLast()
	closed := make(chan error, 1)
	go func() { closed <- n.http.Shutdown(last) }()
	if ended := n.machine.gate.Drain(grace); ended > 0 {
		n.Log.Warn("events were still being proved when the grace ended", "told_draining", ended)
	}
	select {
	case err := <-closed:
		closed <- err
	case <-grace.Done():
	}
	cut(protocol.Fail(protocol.CodeDraining, "the server stops; ask again when it is back"))
	if <-closed != nil {
		n.Log.Warn("requests were still in work when the grace ended")
		_ = n.http.Close() // what is still open has had its time
	}
}
