package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/notify"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/receipt"
)

const (
	// submitEvery is the least time between two checkpoints that are submitted.
	submitEvery = time.Second
	// maxResubmit bounds the pause before a cosigner that failed is asked again. The
	// pause begins with submitEvery and doubles.
	maxResubmit = time.Minute
	// maxCosigners leaves the notifier half of its places for alerts.
	maxCosigners = 8
)

// CheckCosigners reports what td serve would refuse about the policy file that names
// cosigners. Whether the file names the log of the server is known only at its start.
func CheckCosigners(cfg *config.Config) error {
	_, err := readCosigners(cfg)
	return err
}

// readCosigners reads the policy file that names cosigners, nil if no setting names one.
func readCosigners(cfg *config.Config) (*receipt.Policy, error) {
	if cfg.Cosigners == "" || cfg.ReadOnly {
		return nil, nil //nolint:nilnil // there is none
	}
	policy, err := remote.ReadPolicy(cfg.Cosigners)
	if err != nil {
		return nil, fault.New(fault.Config, "cosigners: "+err.Error(), "the setting cosigners names a policy file; see docs/how-to/cosign.md")
	}
	if n := len(policy.Cosigners()); n == 0 || n > maxCosigners {
		return nil, fault.New(fault.Config, fmt.Sprintf("cosigners: %s names %d URLs, and 1 to %d can be submitted to", cfg.Cosigners, n, maxCosigners),
			"a URL is the last word of a line: witness NAME KEY https://cosigner.example:8443")
	}
	allowed, err := notify.ParseAllowed(cfg.NotifyAllow)
	for _, c := range policy.Cosigners() {
		var u *url.URL
		if err == nil {
			u, err = allowed.CheckURL(c.URL)
		}
		if err == nil && (u.RawQuery != "" || u.ForceQuery) {
			return nil, fault.New(fault.Config, fmt.Sprintf("cosigners: %s: the URL has a query", c.URL), "/add-checkpoint is appended to the URL")
		}
		if err != nil {
			return nil, fault.New(fault.Config, fmt.Sprintf("cosigners: %s: %v", c.URL, err), "add its host and port to notify_allow")
		}
	}
	return policy, nil
}

// cosignedLog is the log as the submitter uses it; see [ledger.Ledger].
type cosignedLog interface {
	receipt.Log
	Latest() (ledger.Checkpoint, bool)
	Cosigned(cp ledger.Checkpoint, enough bool, since time.Time) error
}

// submitter submits the newest checkpoint to all cosigners at once, at most one a second,
// and adds the signature lines that verify to the published checkpoint. Publication does
// not wait for it. A cosigner that has not answered yet is left out of what is submitted
// meanwhile.
type submitter struct {
	log     *slog.Logger
	metrics *metrics.Metrics
	policy  *receipt.Policy
	ledger  cosignedLog
	post    addcheckpoint.Post

	mu        sync.Mutex // guards what follows
	cosigners []*cosigner
	newest    *submission // nil before the first
}

// submission is one checkpoint. Only cosigned changes; the lock of the submitter guards it.
type submission struct {
	published ledger.Checkpoint
	since     time.Time           // when the submitter first saw it, as the newest
	plain     *receipt.Checkpoint // as it is submitted
	cosigned  *receipt.Checkpoint // with the cosignatures so far
}

// cosigner is what is known of one cosigner. The lock of the submitter guards it. While
// asked is set, only the goroutine that asks it changes last, and reads it without the lock.
type cosigner struct {
	*receipt.Cosigner
	asked   bool          // it has not answered yet
	last    *submission   // the last one that it cosigned, nil before the first
	pause   time.Duration // before the next attempt, after a failure
	after   time.Time     // the end of that pause
	failing time.Time     // since when it fails; zero if it does not
	why     string        // the reason that was logged last; empty if it does not fail
}

func newSubmitter(log *slog.Logger, m *metrics.Metrics, policy *receipt.Policy, l cosignedLog, post addcheckpoint.Post) *submitter {
	s := &submitter{log: log, metrics: m, policy: policy, ledger: l, post: post}
	for _, c := range policy.Cosigners() {
		s.cosigners = append(s.cosigners, &cosigner{Cosigner: c})
	}
	return s
}

// run submits until ctx ends.
func (s *submitter) run(ctx context.Context) error {
	var asked sync.WaitGroup
	defer asked.Wait()
	tick := time.NewTicker(submitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		t := now()
		sub := s.look(t)
		for _, c := range s.idle(t, sub) {
			asked.Go(func() { s.ask(ctx, c, sub) })
		}
		s.metrics.Set(metrics.CosignerFailing, s.failing(t).Seconds())
	}
}

// look returns the newest checkpoint, nil before the first one. One that it has not seen
// before is the newest since t.
func (s *submitter) look(t time.Time) *submission {
	cp, ok := s.ledger.Latest()
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.newest; n != nil && n.published.Size == cp.Size && n.published.Root == cp.Root && n.published.Key == cp.Key {
		return n
	}
	plain, err := receipt.ReadCheckpoint(string(cp.Plain().Note))
	cosigned, more := receipt.ReadCheckpoint(string(cp.Note))
	if err = errors.Join(err, more); err != nil {
		s.log.Error("checkpoint not submitted to cosigners", "size", cp.Size, "err", err)
		return nil
	}
	s.newest = &submission{cp, t, plain, cosigned}
	return s.newest
}

// idle returns the cosigners that are to be asked for a cosignature now.
func (s *submitter) idle(t time.Time, sub *submission) (all []*cosigner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cosigners {
		if sub != nil && !c.asked && c.last != sub && !t.Before(c.after) {
			c.asked = true
			all = append(all, c)
		}
	}
	return all
}

// ask asks one cosigner, from the size that it cosigned last.
func (s *submitter) ask(ctx context.Context, c *cosigner, sub *submission) {
	from := uint64(0)
	if c.last != nil {
		from = c.last.plain.Size
	}
	lines, err := addcheckpoint.Ask(ctx, s.post, c.URL, from, sub.plain, s.ledger)
	if err == nil {
		err = s.take(c, sub, lines)
	}
	if ctx.Err() == nil {
		s.note(now(), c, sub, err)
	}
}

// errNoSignature means that none of the lines which a cosigner sent verifies under its keys.
var errNoSignature = errors.New("it sent no signature of its keys over this checkpoint")

// errIncomplete means that a cosigner signed with some of its keys only. It counts as a
// failure, because the policy may ask for the other signatures.
var errIncomplete = errors.New("it signed with some of its keys only")

// take verifies signature lines and adds those that verify.
func (s *submitter) take(c *cosigner, sub *submission, lines string) error {
	alone, err := c.Cosigned(sub.plain, lines)
	if err != nil {
		return err
	}
	if alone.Note == sub.plain.Note {
		return errNoSignature
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	with, err := c.Cosigned(sub.cosigned, lines)
	if err != nil {
		return err
	}
	sub.cosigned = with
	cp := sub.published
	cp.Note = []byte(with.Note)
	err = s.ledger.Cosigned(cp, s.policy.Check(with) == nil, sub.since)
	if err == nil && !c.Complete(alone) {
		err = errIncomplete
	}
	return err
}

// note records how a submission ended.
func (s *submitter) note(t time.Time, c *cosigner, sub *submission, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.asked = false
	if err != nil {
		result := "failed"
		if errors.Is(err, errNoSignature) || errors.Is(err, errIncomplete) {
			result = "invalid"
		}
		s.metrics.Add(metrics.Cosignatures, 1, result)
		c.pause = min(max(2*c.pause, submitEvery), maxResubmit)
		c.after = t.Add(c.pause)
		if c.failing.IsZero() {
			c.failing = t
		}
		if why := strings.TrimPrefix(err.Error(), notify.ErrRefused.Error()+": "); lasting(why) != lasting(c.why) {
			c.why = why
			s.log.Warn("checkpoint not cosigned", "cosigner", c.URL, "size", sub.plain.Size, "err", why)
		}
		return
	}
	s.metrics.Add(metrics.Cosignatures, 1, "cosigned")
	if c.last == nil || !c.failing.IsZero() {
		s.log.Info("checkpoint cosigned", "cosigner", c.URL, "size", sub.plain.Size)
	}
	c.last, c.pause, c.failing, c.why = sub, 0, time.Time{}, ""
}

// passing matches the parts of a reason that differ in each attempt: the local address of a
// connection, and the time in the error about a certificate.
var passing = regexp.MustCompile(`\S+->|current time \S+`)

// lasting returns a reason without those parts, so that it is logged once.
func lasting(why string) string { return passing.ReplaceAllString(why, "") }

// Cosigners returns what is known of each cosigner. s may be nil: there are none then.
func (s *submitter) Cosigners() []admin.Cosigner {
	all := []admin.Cosigner{}
	if s == nil {
		return all
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cosigners {
		a := admin.Cosigner{URL: c.URL, Why: c.why}
		if c.last != nil {
			a.Size = c.last.plain.Size
		}
		if !c.failing.IsZero() {
			a.Failing = sinceOf(c.failing)
		}
		all = append(all, a)
	}
	return all
}

// failing returns for how long the worst cosigner has failed. s may be nil, as above.
func (s *submitter) failing(t time.Time) (worst time.Duration) {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cosigners {
		if !c.failing.IsZero() {
			worst = max(worst, t.Sub(c.failing))
		}
	}
	return worst
}
