package prover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// kindProver is the kind of the only child.
const kindProver = "prover"

// Starter starts a child of a kind with one end of a stream socket as its
// descriptor 3.
type Starter interface {
	Start(kind string) (*process.Child, error)
}

// Programs are the arguments behind the program's name for a prover, as
// [RunChild] takes them: with so many workers, 0 being one for each processor,
// and the user id it becomes if it is root.
func Programs(workers, uid int) map[string][]string {
	workers = cmp.Or(workers, runtime.GOMAXPROCS(0))
	return map[string][]string{kindProver: {childArg, strconv.Itoa(workers), strconv.Itoa(uid)}}
}

// PoolConfig says how a [Pool] works. Zero values mean the defaults.
type PoolConfig struct {
	// Starter starts the prover, of kind "prover", with as many workers as Workers;
	// nil starts it from this process, without a user of its own.
	Starter Starter

	Workers int          // proofs made at a time; default one per processor
	Queue   int          // jobs that may wait besides; default four per worker
	Log     *slog.Logger // nil discards

	// Died is called with the kind "prover" if a prover exits or does not answer. May be
	// nil.
	Died func(kind string)

	PingEvery  time.Duration // how often it is asked for its health, and how long it has for the answer; default 5 s
	MinBackoff time.Duration // before it is started again; doubles up to MaxBackoff; default 100 ms
	MaxBackoff time.Duration // default 10 s
}

// startTimeout bounds the time that a prover takes to be ready.
const startTimeout = 10 * time.Second

func (c PoolConfig) withDefaults() PoolConfig {
	c.Workers = cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	c.Queue = cmp.Or(c.Queue, 4*c.Workers)
	if c.Starter == nil {
		c.Starter = process.Direct{Programs: Programs(c.Workers, 0)}
	}
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.PingEvery = cmp.Or(c.PingEvery, 5*time.Second)
	c.MinBackoff = cmp.Or(c.MinBackoff, 100*time.Millisecond)
	c.MaxBackoff = cmp.Or(c.MaxBackoff, 10*time.Second)
	return c
}

// Pool is the core's side of the local prover: it keeps the process running
// and bounds what waits for it.
type Pool struct {
	cfg    PoolConfig
	places chan struct{} // one element per job that is here
	slots  chan struct{} // one element per job at the prover

	mu     sync.Mutex
	client *Client       // nil while no prover is ready, or the one there is in doubt
	change chan struct{} // closed and replaced when client changes
	ended  bool          // Run has returned
	pid    int           // of the process, 0 for none; for tests and logs
}

// NewPool returns a pool. It starts nothing: see [Pool.Run].
func NewPool(cfg PoolConfig) *Pool {
	cfg = cfg.withDefaults()
	return &Pool{
		cfg:    cfg,
		places: make(chan struct{}, cfg.Workers+cfg.Queue),
		slots:  make(chan struct{}, cfg.Workers),
		change: make(chan struct{}),
	}
}

// Prove returns the answer of the prover to a job. The proof has not been verified
// and the tag has not been compared. The code of an error is overloaded if too many
// jobs wait or the pool has ended, prover_timeout if the deadline passes before the
// answer, and prover_bad_response if the answer is malformed or the prover exits over
// the job, which may then be tried again.
func (p *Pool) Prove(ctx context.Context, job *Job) (Answer, error) {
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		return Answer{}, protocol.Fail(protocol.CodeOverloaded, "the provers have enough to do")
	}
	ctx, cancel := context.WithDeadline(ctx, job.Deadline)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return Answer{}, timeout(ctx)
	}
	for {
		c, err := p.await(ctx)
		if err != nil {
			return Answer{}, err
		}
		began := time.Now()
		answer, err := c.Prove(ctx, job)
		answer.Took = time.Since(began)
		if errors.Is(err, errLost) {
			p.withdraw(c)
		}
		if !errors.Is(err, errUnreached) {
			return answer, err
		}
	}
}

// withdraw offers a prover to no further job until it answers a ping: a prover
// that is about to exit would fail them all.
func (p *Pool) withdraw(c *Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client == c {
		p.client = nil
	}
}

// Ready reports whether a prover is ready.
func (p *Pool) Ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.client != nil
}

// await waits until a prover is ready.
func (p *Pool) await(ctx context.Context) (*Client, error) {
	for {
		p.mu.Lock()
		c, change, ended := p.client, p.change, p.ended
		p.mu.Unlock()
		switch {
		case ended:
			return nil, protocol.Fail(protocol.CodeOverloaded, "the provers have stopped")
		case c != nil:
			return c, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil, timeout(ctx)
		}
	}
}

// set makes a change and wakes the calls that wait for one.
func (p *Pool) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.change)
	p.change = make(chan struct{})
}

// Running reports whether a prover is ready for jobs.
func (p *Pool) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.client != nil
}

// Run keeps a prover running until ctx ends: one that exits or does not answer is
// replaced, after a pause that doubles while provers exit early. Jobs under way when
// ctx ends fail.
func (p *Pool) Run(ctx context.Context) error {
	defer p.set(func() { p.ended = true })
	backoff := p.cfg.MinBackoff
	for ctx.Err() == nil {
		begun := time.Now()
		how := p.runChild(ctx)
		if ctx.Err() != nil {
			break
		}
		if time.Since(begun) > 2*p.cfg.MaxBackoff {
			backoff = p.cfg.MinBackoff
		}
		if p.cfg.Died != nil {
			p.cfg.Died(kindProver)
		}
		p.cfg.Log.Warn("prover gone", "how", how, "retry_in_ms", backoff.Milliseconds())
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, p.cfg.MaxBackoff)
	}
	return nil
}

// runChild runs one prover process to its end and returns why it ended.
func (p *Pool) runChild(ctx context.Context) string {
	c, err := p.cfg.Starter.Start(kindProver)
	if err != nil {
		return fmt.Sprintf("prover: starting the prover: %v", err)
	}
	defer c.Stop(0)
	sock, err := process.Conn(c.Sock)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = sock.Close() }()
	client := NewClient(func(context.Context) (net.Conn, error) { return dial(sock) }, p.cfg.Workers+1)
	defer client.Close()
	p.set(func() { p.pid = c.PID })
	defer p.set(func() { p.client, p.pid = nil, 0 })
	return p.attend(ctx, c, client)
}

// maxMisses is how many pings in a row a prover may leave unanswered.
const maxMisses = 2

// attend offers the prover to jobs once it is ready, and watches over it. It
// returns why, when the prover has ended or should end.
func (p *Pool) attend(ctx context.Context, c *process.Child, client *Client) string {
	if why := p.awaitReady(ctx, c, client); why != "" {
		return why
	}
	p.set(func() { p.client = client })
	p.announce(ctx, c.PID, client)
	tick := time.NewTicker(p.cfg.PingEvery)
	defer tick.Stop()
	for misses := 0; misses < maxMisses; {
		select {
		case <-ctx.Done():
			return "stopped"
		case <-c.Ended():
			return c.End().Text
		case <-tick.C:
		}
		if p.ping(ctx, client, p.cfg.PingEvery) == nil {
			p.set(func() { p.client = client })
			misses = 0
		} else {
			misses++
		}
	}
	return "does not answer"
}

// announce logs how well the prover is confined. One that is not confined is used
// all the same, with a warning: it holds no key.
func (p *Pool) announce(ctx context.Context, pid int, client *Client) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.PingEvery)
	defer cancel()
	posture, err := client.Posture(ctx)
	p.cfg.Log.Info("prover ready", "pid", pid, "workers", p.cfg.Workers, "grade", posture.Grade().String())
	posture.Log(p.cfg.Log, "prover")
	if s := posture.Shortfall("prover", sandbox.GradeB); s != "" && err == nil {
		p.cfg.Log.Warn("prover is not locked in", "why", s)
	}
}

// awaitReady returns why the prover is not ready, or nothing once it is.
func (p *Pool) awaitReady(ctx context.Context, c *process.Child, client *Client) string {
	ready := make(chan error, 1)
	go func() { ready <- p.ping(ctx, client, startTimeout) }()
	select {
	case <-c.Ended():
		return c.End().Text
	case err := <-ready:
		if err != nil {
			return "not ready: " + err.Error()
		}
		return ""
	}
}

func (p *Pool) ping(ctx context.Context, client *Client, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return client.Healthy(ctx)
}
