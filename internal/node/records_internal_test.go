package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/localserver"
	"github.com/terradourada/td/protocol"
)

// TestMain runs the tests, or a server in this binary: "serve DATA" as
// [localserver.Start] starts it, and the children of that server.
func TestMain(m *testing.M) {
	if status, ok := RunChild(os.Args); ok {
		os.Exit(status)
	}
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		os.Exit(serveForTest(os.Args[2]))
	}
	os.Exit(m.Run())
}

func serveForTest(data string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := testConfig(data, slog.NewTextHandler(os.Stderr, nil))
	if err == nil {
		cfg.Ready = func(r Ready) { fmt.Fprintln(os.Stderr, localserver.ReadyLine+r.URL) }
		err = Run(ctx, cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func testConfig(data string, log slog.Handler) (Config, error) {
	settings, err := config.Load(nil, map[string]string{
		"data": data, "listen": "127.0.0.1:0", "prover-workers": "1",
		"min-grade": "D", "allow-development-grade": "true", // the race detector needs cgo
	})
	return Config{Settings: settings, Version: "test", Log: slog.New(log)}, err
}

// written is what a server has left behind in a data directory.
type written struct {
	data    string
	request protocol.RequestID
	status  *api.Status
}

// writeRecords has a server accept one event, and ends it.
func writeRecords(t *testing.T, end func(*localserver.Server) error) written {
	t.Helper()
	w := written{data: filepath.Join(t.TempDir(), "data")}
	s, err := localserver.Start(t.Context(), w.data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	c := clientOf(t, s.URL())
	e, err := claim.Prepare(claim.Open, []byte("{}"), []byte(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Push(t.Context(), e, 0, 20*time.Second)
	if err != nil || p.Accepted == nil || p.Accepted.Receipt == nil {
		t.Fatalf("not accepted with a receipt: %+v, %v", p, s.Explain(fmt.Errorf("%w", err)))
	}
	w.request = p.RequestID
	if w.status, err = c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := end(s); err != nil {
		t.Fatal(err)
	}
	return w
}

func clientOf(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(url, client.Config{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serveRecords serves a data directory without keyholders until the test ends.
func serveRecords(t *testing.T, data string) *client.Client {
	t.Helper()
	var log bytes.Buffer
	cfg, err := testConfig(data, slog.NewTextHandler(&log, nil))
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan Ready, 1)
	cfg.Ready = func(r Ready) { ready <- r }
	n := &node{Config: cfg, services: newServices()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	for _, step := range []func(context.Context) error{n.prepare, n.openRecords, n.openHTTP} {
		if err := step(ctx); err != nil {
			cancel()
			t.Fatal(errors.Join(err, n.close()))
		}
	}
	go func() { ended <- n.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, n.close()); err != nil {
			t.Errorf("%v\n%s", err, &log)
		}
	})
	return clientOf(t, (<-ready).URL)
}

// TestRecordsAlone: a node without keyholders serves what a server has written,
// however that server ended, writes nothing, and refuses what needs a key.
func TestRecordsAlone(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*localserver.Server) error{
		"stopped": (*localserver.Server).Stop,
		"killed":  func(s *localserver.Server) error { s.Kill(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := writeRecords(t, end)
			published, err := os.ReadFile(filepath.Join(w.data, datadir.LedgerDir, "checkpoint"))
			if err != nil {
				t.Fatal(err)
			}
			c, ctx := serveRecords(t, w.data), t.Context()
			if cp, err := c.Checkpoint(ctx); err != nil || !bytes.Equal(cp, published) {
				t.Errorf("the checkpoint is %q, %v; want %q", cp, err, published)
			}
			size := strings.Split(string(published), "\n")[1]
			for _, tile := range []string{"0/000.p/" + size, "entries/000.p/" + size} {
				if b, err := c.Tile(ctx, tile); err != nil || len(b) == 0 {
					t.Errorf("%s: %d bytes, %v", tile, len(b), err)
				}
			}
			r, err := c.Receipt(ctx, w.request, 0)
			if err != nil {
				t.Fatal(err)
			}
			if report, err := c.Verify(ctx, r, false); err != nil || !report.OK {
				t.Errorf("the receipt: %+v, %v", report, err)
			}
			wantReadOnly(t, c, w)
		})
	}
}

// wantReadOnly wants the status of a node without an epoch, and no new leaf after a
// request that needs one.
func wantReadOnly(t *testing.T, c *client.Client, w written) {
	t.Helper()
	ctx := t.Context()
	before, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if before.Origin != w.status.Origin || before.Size < w.status.Size || before.Published == 0 || before.Epoch != nil || before.Epochs.State != stateBehind {
		t.Errorf("the status is %+v", before)
	}
	if claims, err := c.Claims(ctx); err != nil || len(claims) != len(claim.IDs())-1 {
		t.Errorf("%d claims, %v", len(claims), err)
	}
	if epochs, err := c.Epochs(ctx); err != nil || len(epochs) != 1 {
		t.Errorf("%d epochs, %v", len(epochs), err)
	}
	_, err = c.Challenge(ctx, api.ChallengeRequest{Claim: "open/1", Params: []byte("{}"), Commitment: protocol.Commitment(claim.NewBlind())})
	if !errors.Is(err, protocol.CodeDraining) {
		t.Errorf("a challenge: %v, want %v", err, protocol.CodeDraining)
	}
	if after, err := c.Status(ctx); err != nil || after.Size != before.Size {
		t.Errorf("the journal has %d leaves, and had %d", after.Size, before.Size)
	}
}
