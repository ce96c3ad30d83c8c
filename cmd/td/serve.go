package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/localserver"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/internal/node"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

func serveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Runs the core with its signer, tagger and prover. Nothing has to be configured:
it listens on loopback and keeps journal and ledger in the data directory. No
key, tag, signature or event content is ever in there.

Ctrl-C or SIGTERM stops it in order: requests in work end, the epoch is closed,
the last checkpoint is published, and the keys are gone.`,
		Example: "  td serve\n  td serve --listen 127.0.0.1:9000 --data ./data\n  td serve --group members.json",
		Args:    noArgs,
	}
	configFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := sandbox.CloseInherited(); err != nil && !errors.Is(err, fs.ErrNotExist) { // a missing /proc is reported by preflight
			return fmt.Errorf("inherited descriptors cannot be closed: %w", err)
		}
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		if err := node.CheckOwner(cfg.File()); err != nil {
			return err
		}
		return ownFailure(a.serve(cmd.Context(), cfg))
	}
	return cmd
}

// ownFailure is the error of a server that could not do something itself. A code of
// the protocol is for clients: its exit code would say that a request was refused.
func ownFailure(err error) error {
	var refusal *protocol.Error
	if told := new(fault.Fault); errors.As(err, &told) || !errors.As(err, &refusal) {
		return err
	}
	return fault.New(fault.Unexpected, refusal.Detail, "docs/operate.md explains what the server says under a fault")
}

// configFlags gives a command one flag for each setting, and --config.
func configFlags(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "configuration file; default config.toml in the data directory, if it is there")
	for _, f := range config.Flags() {
		usage := f.Usage
		if f.Default != "" && !f.Bool {
			usage += fmt.Sprintf(" (default %s)", f.Default)
		}
		switch {
		case f.List:
			cmd.Flags().StringArray(f.Name, nil, usage+"; may be given several times")
		case f.Bool:
			cmd.Flags().Bool(f.Name, false, usage)
		default:
			cmd.Flags().String(f.Name, "", usage)
		}
	}
}

// loadConfig reads what the user has set on the command line, the environment
// and the file.
func loadConfig(cmd *cobra.Command) (*config.Config, error) {
	flags := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			flags[f.Name] = strings.Join(list.GetSlice(), ",")
			return
		}
		flags[f.Name] = f.Value.String()
	})
	delete(flags, "output")
	delete(flags, "origins")
	return config.Load(os.Environ(), flags)
}

// The collector of a server runs when the heap has grown by coreGC percent of
// what is in use, of which ballast MiB are never touched and so cost no memory.
// A small heap is then collected seldom, where it would take a tenth of the
// processor time, and one full of pending sessions before it outgrows its
// budget.
const (
	coreGC  = 40
	ballast = 64
)

// serve runs the server until ctx ends.
func (a *app) serve(ctx context.Context, cfg *config.Config) error {
	debug.SetGCPercent(coreGC)
	weight := make([]byte, ballast<<20)
	defer runtime.KeepAlive(weight)
	log := a.openLog(cfg).Logger
	for _, note := range cfg.Notes() {
		log.Warn("configuration", "note", note)
	}
	var bounds server.Config
	if err := cmp.Or(node.Preflight(cfg.Data), fitToDescriptors(cfg, &bounds)); err != nil {
		return err
	}
	lists, err := memberlist.ReadAll(cfg.Group)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, cfg)
	if err != nil {
		return unlessCalledOff(ctx, log, err)
	}
	defer listener.Close()
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fault.New(fault.Config, fmt.Sprintf("the data directory cannot be made: %v", err), "--data names another one")
	}
	claims, err := loadClaims(lists)
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	attestor, err := openAttestor(ctx, cfg, log)
	if err != nil {
		return unlessCalledOff(ctx, log, err)
	}
	defer func() { _ = attestor.Close() }() // nothing is lost with it
	children, err := node.StartLauncher(ctx, cfg)
	if err != nil {
		return unlessCalledOff(ctx, log, err)
	}
	c := &core{cfg: cfg, log: log, claims: claims, attestor: attestor, children: children}
	if c.build, err = buildDigest(); err == nil {
		c.confined, err = node.Confine(cfg, attestor.Kind(), children, log)
	}
	if err != nil {
		return errors.Join(unlessCalledOff(ctx, log, err), c.closeChildren())
	}
	if ready, err := openCore(ctx, c); !ready {
		return err
	}
	err = a.serveHTTP(ctx, c, listener, bounds, lists)
	return errors.Join(err, c.close())
}

// serveHTTP serves until ctx ends or an organ dies, then lets requests in work
// end.
func (a *app) serveHTTP(ctx context.Context, c *core, listener net.Listener, cfg server.Config, lists []*claim.List) error {
	verify, err := c.verifyOptions(ctx, lists)
	if err != nil {
		return unlessCalledOff(ctx, c.log, err)
	}
	cfg.Gate = c.gate
	if cfg.Records, err = c.records(ctx); err != nil {
		return unlessCalledOff(ctx, c.log, err)
	}
	cfg.Ledger = c.ledger
	cfg.Verify = verify
	cfg.Log = c.log
	cfg.BodyTimeout = c.cfg.BodyTimeout
	cfg.Host = server.Hosts(listener.Addr(), c.cfg.AllowHost)
	srv := server.HTTPServer(cfg, server.New(cfg))
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	srv.BaseContext = func(net.Listener) context.Context { return base }
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	a.announce(c, listener)
	died, stop := c.anyDone()
	defer stop()
	select {
	case <-ctx.Done():
		c.log.Info("stopping", "grace_ms", c.cfg.ShutdownGrace.Milliseconds())
	case err = <-served:
		return fmt.Errorf("listener: %w", err)
	case o := <-died:
		err = fmt.Errorf("%s ended by itself: %w", o.name, orUnknown(o.err))
	}
	c.drain(ctx, srv, cut)
	return err
}

// lastAnswers is the time that clients have, after the grace, to receive the answer
// that the server stops.
const lastAnswers = time.Second

// drain closes the listener and waits for the requests in work until the grace ends.
// Then it answers the others with draining.
func (c *core) drain(ctx context.Context, srv *http.Server, cut context.CancelCauseFunc) {
	ctx = context.WithoutCancel(ctx)
	grace, cancel := context.WithTimeout(ctx, c.cfg.ShutdownGrace)
	defer cancel()
	last, cancelLast := context.WithTimeout(ctx, c.cfg.ShutdownGrace+lastAnswers)
	defer cancelLast()
	closed := make(chan error, 1)
	go func() { closed <- srv.Shutdown(last) }()
	if ended := c.gate.Drain(grace); ended > 0 {
		c.log.Warn("events were still being proved when the grace ended", "told_draining", ended)
	}
	select {
	case err := <-closed:
		closed <- err
	case <-grace.Done():
	}
	cut(protocol.Fail(protocol.CodeDraining, "the server stops; ask again when it is back"))
	if <-closed != nil {
		c.log.Warn("requests were still in work when the grace ended")
		_ = srv.Close() // what is still open has had its time
	}
}

func orUnknown(err error) error {
	if err == nil {
		return errors.New("no reason given")
	}
	return err
}

// announce says where the server is and what to do next. Scripts wait for the
// line that begins with "td: ready", or for the object whose msg is "ready".
func (a *app) announce(c *core, listener net.Listener) {
	scheme := "http"
	if c.cfg.TLSCert != "" {
		scheme = "https"
	}
	url := scheme + "://" + listener.Addr().String()
	cp, ok := c.ledger.Latest()
	if a.log.json {
		writeObject(a.stderr, slog.LevelInfo, "ready", "url", url, "origin", c.journal.Origin(), "data", c.cfg.Data, "checkpoint_size", cp.Size)
		return
	}
	fmt.Fprintf(a.stderr, "td: log %s, data in %s\n", c.journal.Origin(), c.cfg.Data)
	if ok {
		fmt.Fprintf(a.stderr, "td: checkpoint of size %d, at %s/checkpoint; td submit and td trust add record it\n", cp.Size, url)
	}
	fmt.Fprintf(a.stderr, "td: next, in another terminal: echo '{\"lot\": 1}' | td submit --server %s --claim open/1 --out receipts -\n", url)
	fmt.Fprintf(a.stderr, "%s%s\n", localserver.ReadyLine, url)
}

// verifyOptions let the server judge receipts of its own log, by the rules of
// every verifier: it reads the log live from itself.
func (c *core) verifyOptions(ctx context.Context, lists []*claim.List) (receipt.Options, error) {
	trust, err := c.trust()
	if err != nil {
		return receipt.Options{}, c.trustFailure(err)
	}
	o := receipt.Options{Trust: trust, Log: c.ledger, Live: c.latest, Lists: receipt.NewLists(lists...)}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	first, from, err := c.latest(ctx)
	if err != nil {
		return o, fmt.Errorf("first checkpoint: %w", err)
	}
	// The server's own word binds its log to itself again, should a client have
	// used this store for its own.
	if _, err := trust.Trust(ctx, first, c.ledger, from, receipt.VouchLive, time.Now()); err != nil {
		return o, c.trustFailure(err)
	}
	return o, nil
}

// ownServer is the name by which a server's trust store binds its own log.
const ownServer = "self"

// latest returns the newest published checkpoint.
func (c *core) latest(ctx context.Context) (*receipt.Checkpoint, receipt.Source, error) {
	from := receipt.Source{Live: true, Server: ownServer}
	cp, err := c.ledger.Await(ctx, 0)
	if err != nil {
		return nil, from, err
	}
	open, ok, err := c.journal.EpochLeafByKey(ctx, cp.Key)
	if err != nil || !ok {
		return nil, from, errors.Join(errors.New("the key of the checkpoint has no epoch"), err)
	}
	leaf, path, err := c.ledger.Entry(ctx, open.Seq, cp.Size)
	if err != nil {
		return nil, from, err
	}
	published, err := receipt.VerifyCheckpoint(string(cp.Note), leaf, path)
	return published, from, err
}

// listen opens the public listener, with TLS if it is configured.
func listen(ctx context.Context, cfg *config.Config) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fault.New(fault.Config, fmt.Sprintf("cannot listen on %s: %v", cfg.Listen, err), "--listen names another address; port 0 takes any free one")
	}
	if cfg.TLSCert == "" {
		return l, nil
	}
	cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return nil, errors.Join(fault.New(fault.Config, fmt.Sprintf("the TLS certificate does not load: %v", err), ""), l.Close())
	}
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{"http/1.1"},
	}), nil
}
