package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

type readWriter interface {
	io.Reader
	io.Writer
}

// Starter starts a child of a kind with one end of a stream socket as its descriptor 3.
type Starter interface {
	Start(kind string) (*process.Child, error)
}

// Config says how a [Notifier] works.
type Config struct {
	Starter Starter      // starts children of [Kind]
	Log     *slog.Logger // required

	// Died is called when a notifier has exited without being asked to. May be nil.
	Died func()

	MinBackoff time.Duration // before it is started again; doubles up to a minute; default 500 ms
}

// Times of the core's side.
const (
	startTimeout = 10 * time.Second
	callTimeout  = 20 * time.Second // longer than an attempt
	maxBackoff   = time.Minute
)

// Notifier is the core's side of the notifier. Its methods may be called from any
// goroutine, and return an error while no notifier runs.
type Notifier struct {
	cfg Config

	mu   sync.Mutex // guards what follows
	link *link      // nil while none runs
	pid  int
	at   State
}

// State is whether a notifier runs, and how often one has exited.
type State struct {
	Runs  bool
	Since time.Time // it runs, or has not run; zero before the first start
	Exits uint64    // without being asked to, attempts to start it included
	How   string    // the last one exited
}

// New returns a notifier that does not run; see [Notifier.Run].
func New(cfg Config) *Notifier {
	if cfg.MinBackoff == 0 {
		cfg.MinBackoff = 500 * time.Millisecond
	}
	if cfg.Died == nil {
		cfg.Died = func() {}
	}
	return &Notifier{cfg: cfg}
}

// PID returns the process id of the notifier, 0 while none runs.
func (n *Notifier) PID() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pid
}

// Run keeps a notifier running until ctx ends. One that exits is started again, after a
// pause that doubles while notifiers exit early. No alert is lost with it but those that
// it has not acknowledged.
func (n *Notifier) Run(ctx context.Context) error {
	backoff := n.cfg.MinBackoff
	for {
		begun := time.Now()
		how := n.runChild(ctx)
		select {
		case <-ctx.Done():
			return nil
		default:
		}
		if time.Since(begun) > 2*maxBackoff {
			backoff = n.cfg.MinBackoff
		}
		n.exited(how)
		n.cfg.Died()
		n.cfg.Log.Warn("notifier exited", "how", how, "retry_in_ms", backoff.Milliseconds())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// runChild runs one notifier process to its end and returns why it ended.
func (n *Notifier) runChild(ctx context.Context) string {
	c, err := n.cfg.Starter.Start(Kind)
	if err != nil {
		return err.Error()
	}
	defer c.Stop(time.Second)
	conn, err := process.Conn(c.Sock)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := n.greet(ctx, conn, c.PID); err != nil {
		return ending(c, err)
	}
	l := &link{conn: conn, calls: make(map[uint64]chan answer), down: make(chan struct{})}
	n.set(l, c.PID)
	defer n.set(nil, 0)
	return ending(c, l.read())
}

// ending returns how a child has exited whose socket had an error, and the error if it has
// not exited.
func ending(c *process.Child, err error) string {
	select {
	case <-c.Ended():
		return c.End().Text
	case <-time.After(time.Second):
		return fmt.Sprintf("its socket: %v", err)
	}
}

// greet reads the first frame of a notifier.
func (n *Notifier) greet(ctx context.Context, conn *net.UnixConn, pid int) error {
	var first answer
	var text string
	err := process.Exchange(ctx, startTimeout, conn, func() error { return readFrame(conn, &first) })
	if err == nil {
		err = json.Unmarshal(first.Body, &text)
	}
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	_ = conn.SetDeadline(time.Time{})
	posture, err := sandbox.ParsePosture(sandbox.Notifier, text)
	if err != nil {
		return err
	}
	n.cfg.Log.Info("notifier ready", "pid", pid, "grade", posture.Grade().String())
	posture.Log(n.cfg.Log, Kind)
	if s := posture.Shortfall(Kind, sandbox.GradeB); s != "" {
		n.cfg.Log.Warn("notifier is not locked in", "why", s)
	}
	return nil
}

func (n *Notifier) set(l *link, pid int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link, n.pid = l, pid
	n.at.Runs, n.at.Since = l != nil, time.Now()
}

// exited counts the end of a notifier.
func (n *Notifier) exited(how string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at.Exits++
	n.at.How = how
	if n.at.Since.IsZero() {
		n.at.Since = time.Now()
	}
}

// State returns the state of the notifier.
func (n *Notifier) State() State {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at
}

// link is the socket to one notifier.
type link struct {
	conn  *net.UnixConn
	down  chan struct{} // closed when the socket has ended
	write sync.Mutex

	mu    sync.Mutex // guards what follows
	last  uint64
	calls map[uint64]chan answer
}

// read delivers answers until the socket ends.
func (l *link) read() error {
	defer close(l.down)
	for {
		var a answer
		if err := readFrame(l.conn, &a); err != nil {
			return err
		}
		l.mu.Lock()
		if c := l.calls[a.ID]; c != nil {
			c <- a
			delete(l.calls, a.ID)
		}
		l.mu.Unlock()
	}
}

// ErrDown means that no notifier runs at present.
var ErrDown = protocol.Fail(protocol.CodeOverloaded, "the notifier is not running; it is started again")

// ErrRefused marks what the notifier, or a receiver, has refused.
var ErrRefused = errors.New("notify: refused")

// call sends a request and waits for the answer. A notifier that does not answer in time
// is replaced.
func (n *Notifier) call(caller context.Context, op string, body, into any) error {
	n.mu.Lock()
	l := n.link
	n.mu.Unlock()
	if l == nil {
		return ErrDown
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(caller, callTimeout)
	defer cancel()
	id, answers := l.begin()
	defer l.forget(id)
	if err := l.send(request{ID: id, Op: op, Body: raw}); err != nil {
		return ErrDown
	}
	select {
	case a := <-answers:
		switch {
		case a.Error != "":
			return fmt.Errorf("%w: %s", ErrRefused, a.Error)
		case into != nil:
			return json.Unmarshal(a.Body, into)
		}
		return nil
	case <-l.down:
		return ErrDown
	case <-ctx.Done():
		if caller.Err() == nil {
			_ = l.conn.Close() // ends it
		}
		return ctx.Err()
	}
}

func (l *link) begin() (uint64, chan answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	c := make(chan answer, 1)
	l.calls[l.last] = c
	return l.last, c
}

func (l *link) forget(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.calls, id)
}

func (l *link) send(r request) error {
	l.write.Lock()
	defer l.write.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	return writeFrame(l.conn, r)
}

// Sinks lists the sinks with what is known of their deliveries.
func (n *Notifier) Sinks(ctx context.Context) (all []Sink, err error) {
	return all, n.call(ctx, opSinks, nil, &all)
}

// Add adds a sink. The secret of a webhook is returned here, and never again.
func (n *Notifier) Add(ctx context.Context, kind, url string) (id, secret string, err error) {
	var a added
	err = n.call(ctx, opAdd, sink{Kind: kind, URL: url}, &a)
	return a.ID, a.Secret, err
}

// Remove removes a sink, its secret and its messages.
func (n *Notifier) Remove(ctx context.Context, id string) error {
	return n.call(ctx, opRemove, sink{ID: id}, nil)
}

// Notice passes a message to every webhook. Without an error it is on disk.
func (n *Notifier) Notice(ctx context.Context, id string, body []byte) error {
	return n.call(ctx, opNotice, message{ID: id, Body: body}, nil)
}

// Heartbeat makes one attempt for every webhook.
func (n *Notifier) Heartbeat(ctx context.Context, id string, body []byte) error {
	return n.call(ctx, opHeartbeat, message{ID: id, Body: body}, nil)
}

// Sync passes the present state to every Alertmanager.
func (n *Notifier) Sync(ctx context.Context, body []byte) error {
	return n.call(ctx, opSync, message{Body: body}, nil)
}

// Test makes one attempt for one sink and returns its outcome.
func (n *Notifier) Test(ctx context.Context, sinkID, id string, body []byte) error {
	return n.call(ctx, opTest, message{Sink: sinkID, ID: id, Body: body}, nil)
}

// Forward posts a body of type text/plain to a URL that is allowed. It returns what the
// notifier says that the answer was, in at most one frame.
func (n *Notifier) Forward(ctx context.Context, url string, body []byte) (status int, kind string, answer []byte, err error) {
	var r reply
	err = n.call(ctx, opForward, forward{url, body}, &r)
	return r.Status, r.Type, r.Body, err
}
