package ledger

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"
)

// projection is Tessera's side: its appender over one directory. Its context
// is its own and outlives the ones of its callers, because a future never
// resolves once that context is gone.
type projection struct {
	add      tessera.AddFn
	size     func(context.Context) (uint64, error) // integrated, on disk
	shutdown func(context.Context) error
	cancel   context.CancelFunc
}

func openProjection(ctx context.Context, cfg *Config) (*projection, error) {
	routeKlog(cfg.Log)
	driver, err := posix.New(ctx, posix.Config{Path: cfg.Dir})
	if err != nil {
		return nil, err
	}
	mute := &mute{name: cfg.Origin}
	opts := tessera.NewAppendOptions().
		WithCheckpointSigner(mute).
		WithCheckpointInterval(math.MaxInt64). // publication is ours
		WithCheckpointRepublishInterval(0).
		WithBatching(uint(cfg.BatchSize), cfg.BatchAge)
	p, err := newProjection(ctx, driver, opts)
	if err != nil && mute.asked.Swap(false) {
		// Tessera wants to publish the empty tree of a log it has just made,
		// and its second attempt finds the log made.
		p, err = newProjection(ctx, driver, opts)
	}
	return p, err
}

func newProjection(ctx context.Context, driver tessera.Driver, opts *tessera.AppendOptions) (*projection, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	appender, shutdown, reader, err := tessera.NewAppender(own, driver, opts)
	if err != nil {
		cancel()
		return nil, err
	}
	return &projection{add: appender.Add, size: reader.IntegratedSize, shutdown: shutdown, cancel: cancel}, nil
}

// close ends the appender. Nothing is in flight any more, or it is lost with
// the process; the only thing Tessera would wait for is a checkpoint.
func (p *projection) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = p.shutdown(ctx) // refuses further calls to add; its verdict is about checkpoints, which are ours
	p.cancel()
}

// mute is the signer that Tessera must be given. It never signs, so that
// Tessera never publishes.
type mute struct {
	name  string
	asked atomic.Bool
}

var (
	_       note.Signer = (*mute)(nil)
	errMute             = errors.New("ledger: checkpoints are published elsewhere")
)

func (m *mute) Name() string                { return m.name }
func (m *mute) KeyHash() uint32             { return 0 }
func (m *mute) Sign([]byte) ([]byte, error) { m.asked.Store(true); return nil, errMute }

// klogOnce guards the one setting of the process's klog, which Tessera logs
// through and which has only a global sink.
var klogOnce sync.Once

// routeKlog sends klog to the first logger given, all of it at debug level:
// what matters of it comes back as errors, and Tessera warns each time that it
// was not allowed to publish.
func routeKlog(log *slog.Logger) {
	klogOnce.Do(func() { klog.SetSlogLogger(slog.New(debugHandler{log.Handler()}).With("component", "tessera")) })
}

// debugHandler lowers every record to debug level.
type debugHandler struct{ next slog.Handler }

func (h debugHandler) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.next.Enabled(ctx, slog.LevelDebug)
}

func (h debugHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return h.next.Handle(ctx, r)
}

func (h debugHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return debugHandler{h.next.WithAttrs(a)}
}

func (h debugHandler) WithGroup(name string) slog.Handler {
	return debugHandler{h.next.WithGroup(name)}
}
