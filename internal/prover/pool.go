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
	// Starter starts the prover, of kind "prover", with as many workers as are
	// said here; nil starts it from this process,
	// without a user of its own.
	Starter Starter

	Workers int          // proofs made at a time; default one per processor
	Queue   int          // jobs that may wait besides; default four per worker
	Log     *slog.Logger // nil discards

	StartTimeout time.Duration // for a prover to be ready; default 10 s
	PingEvery    time.Duration // how often it is asked for its health, and how long it has for the answer; default 5 s
	MinBackoff   time.Duration // before it is started again; doubles up to MaxBackoff; default 100 ms
	MaxBackoff   time.Duration // default 10 s
}

func (c PoolConfig) withDefaults() PoolConfig {
	c.Workers = cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	c.Queue = cmp.Or(c.Queue, 4*c.Workers)
	if c.Starter == nil {
		c.Starter = process.Direct{Programs: Programs(c.Workers, 0)}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.StartTimeout = cmp.Or(c.StartTimeout, 10*time.Second)
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
	hands  chan struct{} // one element per job at the prover

	mu     sync.Mutex
	client *Client       // nil while no prover is ready, or the one there is in doubt
	change chan struct{} // closed and replaced when client changes
	ended  bool          // Run has returned
	pid    int           // of the process, 0 for none; for tests and logs
}

// NewPool makes a pool; it starts nothing, but see [Pool.Run].
func NewPool(cfg PoolConfig) *Pool {
	cfg = cfg.withDefaults()
	return &Pool{
		cfg:    cfg,
		places: make(chan struct{}, cfg.Workers+cfg.Queue),
		hands:  make(chan struct{}, cfg.Workers),
		change: make(chan struct{}),
	}
}

// Prove has a job proved. Too many jobs, or a pool that has ended, are
// overloaded; a deadline that passes, while waiting for a prover or for its
// answer, is prover_timeout; an answer that is none, or a prover that dies over
// the job, is prover_bad_response, and the job may be tried again. The proof
// has not been verified and the tag has not been compared.
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
	case p.hands <- struct{}{}:
		defer func() { <-p.hands }()
	case <-ctx.Done():
		return Answer{}, timeout(ctx)
	}
	for {
		c, err := p.await(ctx)
		if err != nil {
			return Answer{}, err
		}
		answer, err := c.Prove(ctx, job)
		if errors.Is(err, errLost) {
			p.withdraw(c)
		}
		if !errors.Is(err, errUnreached) {
			return answer, err
		}
	}
}

// withdraw offers a prover to no further job until it answers a ping, so that
// jobs do not throw themselves at one that is dying.
func (p *Pool) withdraw(c *Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client == c {
		p.client = nil
	}
}

// Ready reports whether a prover is there.
func (p *Pool) Ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.client != nil
}

// await waits for a prover to be there.
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

// set tells those who wait what changed.
func (p *Pool) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.change)
	p.change = make(chan struct{})
}

// Run keeps a prover running until ctx ends: one that dies or does not answer
// is replaced, after a pause that grows while they die young. Jobs under way
// when ctx ends fail.
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
		p.cfg.Log.Warn("prover gone", "how", how, "retry_in_ms", backoff.Milliseconds())
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, p.cfg.MaxBackoff)
	}
	return nil
}

// child is a running prover process.
type child struct {
	*process.Child
	sock *net.UnixConn // connections are handed over here
}

func start(s Starter) (*child, error) {
	c, err := s.Start(kindProver)
	if err != nil {
		return nil, fmt.Errorf("prover: starting the prover: %w", err)
	}
	sock, err := unixConn(c.Sock)
	if err != nil {
		c.Kill()
		return nil, err
	}
	return &child{c, sock}, nil
}

// runChild runs one prover process to its end and says how it ended.
func (p *Pool) runChild(ctx context.Context) string {
	c, err := start(p.cfg.Starter)
	if err != nil {
		return err.Error()
	}
	client := NewClient(func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx, c.sock)
		if err != nil {
			return nil, errors.Join(errUnreached, err)
		}
		return conn, nil
	}, p.cfg.Workers+1)
	p.set(func() { p.pid = c.PID })
	how, reaped := p.attend(ctx, c, client)
	p.set(func() { p.client, p.pid = nil, 0 })
	client.Close()
	_ = c.sock.Close()
	if !reaped {
		c.Kill()
		<-c.Ended
	}
	return how
}

// maxMisses is how many pings in a row a prover may leave unanswered.
const maxMisses = 2

// attend offers the prover to jobs once it is ready, and watches over it. It
// returns when the prover has ended, which is then reaped, or should end.
func (p *Pool) attend(ctx context.Context, c *child, client *Client) (how string, reaped bool) {
	if how, reaped := p.awaitReady(ctx, c, client); how != "" {
		return how, reaped
	}
	p.set(func() { p.client = client })
	p.announce(ctx, c, client)
	tick := time.NewTicker(p.cfg.PingEvery)
	defer tick.Stop()
	for misses := 0; misses < maxMisses; {
		select {
		case <-ctx.Done():
			return "stopped", false
		case end := <-c.Ended:
			return end.Text, true
		case <-tick.C:
		}
		if p.ping(ctx, client, p.cfg.PingEvery) == nil {
			p.set(func() { p.client = client })
			misses = 0
		} else {
			misses++
		}
	}
	return "does not answer", false
}

// announce logs how well the prover is locked in. One that is not is used all
// the same: it holds no key, and whoever runs the server is told.
func (p *Pool) announce(ctx context.Context, c *child, client *Client) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.PingEvery)
	defer cancel()
	posture, err := client.Posture(ctx)
	p.cfg.Log.Info("prover ready", "pid", c.PID, "workers", p.cfg.Workers, "grade", posture.Grade().String())
	posture.Log(p.cfg.Log, "prover")
	if s := posture.Shortfall("prover", sandbox.GradeB); s != "" && err == nil {
		p.cfg.Log.Warn("prover is not locked in", "why", s)
	}
}

func (p *Pool) awaitReady(ctx context.Context, c *child, client *Client) (how string, reaped bool) {
	ready := make(chan error, 1)
	go func() { ready <- p.ping(ctx, client, p.cfg.StartTimeout) }()
	select {
	case end := <-c.Ended:
		return end.Text, true
	case err := <-ready:
		if err != nil {
			return "not ready: " + err.Error(), false
		}
		return "", false
	}
}

func (p *Pool) ping(ctx context.Context, client *Client, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return client.Healthy(ctx)
}
