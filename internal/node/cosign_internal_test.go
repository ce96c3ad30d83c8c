package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/cosign"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/receipt"
)

// tower is a cosigner in memory.
type tower struct {
	t    *testing.T
	log  *logtest.Log
	key  *cosign.Key // that it signs with
	size uint64      // newest that it cosigned

	takes time.Duration // for each answer
	old   string        // lines that it sends instead of its own

	mu    sync.Mutex // guards what follows
	err   error      // it cannot be reached
	asked []string   // what it was asked for and when, such as "1>10 at 1s"
}

// post answers a request of the protocol.
func (c *tower) post(ctx context.Context, began time.Time, body []byte) (status int, kind string, reply []byte, err error) {
	r, err := addcheckpoint.ParseRequest(body)
	if err != nil {
		c.t.Error(err)
	}
	cp, err := receipt.ReadCheckpoint(r.Note)
	if err != nil {
		c.t.Error(err)
	}
	away := c.ask(fmt.Sprintf("%d>%d at %v", r.Old, cp.Size, time.Since(began)))
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return 0, "", nil, ctx.Err()
	}
	switch {
	case away != nil:
		return 0, "", nil, away
	case c.old != "":
		return http.StatusOK, "", []byte(c.old), nil
	case r.Old != c.size:
		return http.StatusConflict, addcheckpoint.SizeType, fmt.Appendf(nil, "%d\n", c.size), nil
	}
	if r.Old < cp.Size && tlog.CheckTree(r.Proof, int64(cp.Size), cp.Root, int64(r.Old), tlog.Hash(c.log.Tree.RootAt(r.Old))) != nil {
		return http.StatusUnprocessableEntity, "", nil, nil //nolint:nilerr // the answer says it
	}
	c.size = cp.Size
	lines, err := c.key.Sign(cp)
	return http.StatusOK, "", []byte(lines), err
}

// ask notes a request, and returns whether the cosigner cannot be reached.
func (c *tower) ask(request string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, request)
	return c.err
}

// requests are those so far.
func (c *tower) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

func (c *tower) away(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// coast is a log and the cosigners that it is submitted to.
type coast struct {
	*client.Log // its proofs
	t           *testing.T
	log         *logtest.Log
	dir         string
	towers      map[string]*tower // by URL
	policy      *receipt.Policy   // two of them
	text        bytes.Buffer
	metrics     *metrics.Metrics

	mu     sync.Mutex
	began  time.Time // the submitter
	latest ledger.Checkpoint
	got    []string // what was added: size, names, and whether it was enough
}

// newCoast returns a log and cosigners of these names.
func newCoast(t *testing.T, names ...string) *coast {
	t.Helper()
	c := &coast{t: t, log: logtest.New(), dir: t.TempDir(), towers: map[string]*tower{}, metrics: metrics.New(metrics.Options{Labels: metricLabels()})}
	c.Log = client.NewLogDir(c.dir)
	policy := "origin " + logtest.Origin + "\n"
	for _, name := range names {
		key, err := cosign.NewKey(name)
		if err != nil {
			t.Fatal(err)
		}
		c.towers["https://"+name+addcheckpoint.Path] = &tower{t: t, log: c.log, key: key, size: 1}
		policy += logtest.AtURL(key.Policy(), "https://"+name)
	}
	policy += "group two 2 " + strings.Join(names, " ") + "\nquorum two\n"
	var err error
	if c.policy, err = receipt.ParsePolicy([]byte(policy)); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *coast) tower(name string) *tower { return c.towers["https://"+name+addcheckpoint.Path] }

// publish publishes a checkpoint of a size.
func (c *coast) publish(size uint64) {
	for c.log.Size() < size {
		c.log.AddRaw([]byte{byte(c.log.Size())})
	}
	by := c.log.Epochs[0]
	c.log.Write(c.dir, by)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latest = ledger.Checkpoint{Note: []byte(c.log.Note(size, by)), Size: size, Root: c.log.Tree.RootAt(size), Key: by.Open.CheckpointKey}
}

func (c *coast) Latest() (ledger.Checkpoint, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latest, c.latest.Size > 0
}

func (c *coast) Cosigned(cp ledger.Checkpoint, enough bool, since time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cp.Size == 10 && !since.Equal(c.began.Add(submitEvery)) {
		c.t.Errorf("it is said to be the newest at %v", since.Sub(c.began))
	}
	var names []string
	for line := range strings.Lines(string(cp.Note[len(cp.Plain().Note):])) {
		names = append(names, strings.Fields(line)[1])
	}
	slices.Sort(names)
	c.got = append(c.got, fmt.Sprint(cp.Size, slices.Compact(names), len(names), enough))
	return nil
}

// added is what was added so far.
func (c *coast) added() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// run runs a submitter for a time, and returns it.
func (c *coast) run(then func()) *submitter {
	began := time.Now()
	c.began = began
	post := func(ctx context.Context, url string, body []byte) (int, string, []byte, error) {
		return c.towers[url].post(ctx, began, body)
	}
	s := newSubmitter(slog.New(slog.NewTextHandler(&c.text, nil)), c.metrics, c.policy, c, post)
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	then()
	cancel()
	if err := <-ended; err != nil {
		c.t.Error(err)
	}
	return s
}

func (c *coast) scraped(line string) bool {
	w := httptest.NewRecorder()
	c.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return strings.Contains(w.Body.String(), "\nterradourada_"+line+"\n")
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestSubmitter: at most once a second the newest checkpoint goes to all cosigners at once,
// to one that is behind with a proof from its own size, and what verifies is added to that
// checkpoint. A stopped, a lying and a slow cosigner hold no other one up.
func TestSubmitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoast(t, "good", "behind", "slow", "stopped", "liar", "stale")
		c.publish(5)
		old, err := receipt.ReadCheckpoint(string(c.latest.Note))
		if err != nil {
			t.Fatal(err)
		}
		c.tower("stale").old, err = c.tower("stale").key.Sign(old)
		if err != nil {
			t.Fatal(err)
		}
		if c.tower("liar").key, err = cosign.NewKey("liar"); err != nil {
			t.Fatal(err)
		}
		c.tower("good").size, c.tower("slow").size = 10, 10
		c.tower("behind").size = 3
		c.tower("slow").takes = 2500 * time.Millisecond
		c.tower("stopped").away(errors.New("connection refused"))
		c.publish(10)
		s := c.run(func() {
			time.Sleep(1200 * time.Millisecond)
			want(t, "added", slices.Contains(c.added(), "10 [behind good] 4 true"), true)
			for n := range uint64(7) {
				c.publish(11 + n)
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(8 * time.Second)
		})
		want(t, "asked of the good one", c.tower("good").requests(), []string{"10>10 at 1s", "10>17 at 2s"})
		want(t, "asked of the one behind", c.tower("behind").requests(), []string{"10>10 at 1s", "3>10 at 1s", "10>17 at 2s"})
		want(t, "asked of the slow one", c.tower("slow").requests(), []string{"10>10 at 1s", "10>17 at 4s"})
		want(t, "asked of the stopped one", len(c.tower("stopped").requests()), 4) // at 1, 2, 4 and 8 s
		want(t, "the slow one for an older checkpoint", slices.Contains(c.added(), "10 [behind good slow] 6 true"), true)
		want(t, "added at last", c.added()[len(c.added())-1], "17 [behind good slow] 6 true")
		for _, name := range []string{"liar", "stale", "stopped"} {
			if strings.Contains(fmt.Sprint(c.added()), name) {
				t.Errorf("a line of %s was added: %q", name, c.added())
			}
			want(t, "lines about "+name, strings.Count(c.text.String(), `msg="checkpoint not cosigned" cosigner=https://`+name+" "), 1)
		}
		want(t, "for so long", s.failing(time.Now()).Round(time.Second), 9*time.Second)
		for _, line := range []string{
			`cosignatures_total{result="cosigned"} 6`, `cosignatures_total{result="failed"} 4`, `cosignatures_total{result="invalid"} 8`, `cosigner_failing_seconds 8`,
		} {
			if !c.scraped(line) {
				t.Errorf("no metric %s", line)
			}
		}
	})
}

// TestSubmitterRetries: a cosigner that failed is asked again after a pause that doubles up
// to a minute, also if nothing is published meanwhile, and the others are not asked twice.
func TestSubmitterRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoast(t, "good", "away")
		c.tower("away").away(errors.New("connection refused"))
		c.publish(10)
		s := c.run(func() {
			time.Sleep(10*time.Minute + time.Second)
			want(t, "attempts", len(c.tower("away").requests()) <= 16, true)
			want(t, "added", c.added(), []string{"10 [good] 2 false"})
			want(t, "lines about one reason", strings.Count(c.text.String(), `msg="checkpoint not cosigned"`), 1)
			for i, reason := range []string{"certificate has expired: current time %v is after", "read tcp 192.0.2.1:%d->192.0.2.2:443: reset"} {
				for attempt := range 3 {
					c.tower("away").away(fmt.Errorf(reason, 50_000+attempt))
					time.Sleep(time.Minute)
				}
				want(t, "lines after another reason", strings.Count(c.text.String(), `msg="checkpoint not cosigned"`), 2+i)
			}
			c.tower("away").away(nil)
			time.Sleep(time.Minute + time.Second)
		})
		want(t, "added", c.added()[1:], []string{"10 [away good] 4 true"})
		want(t, "asked of the good one", len(c.tower("good").requests()), 2) // with the size that it named
		want(t, "failing", s.failing(time.Now()), 0)
		for _, cosigner := range s.Cosigners() {
			want(t, cosigner.URL, cosigner, admin.Cosigner{URL: cosigner.URL, Size: 10})
		}
		want(t, "lines of the log", strings.Count(c.text.String(), `msg="checkpoint cosigned" cosigner=https://away`), 1)
	})
}

// TestSubmitterIncomplete: a cosigner of whose two signatures one is missing fails, since a
// policy may ask for both; the other one is published.
func TestSubmitterIncomplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoast(t, "good", "half")
		c.publish(10)
		cp, err := receipt.ReadCheckpoint(string(c.latest.Note))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := c.tower("half").key.Sign(cp)
		if err != nil {
			t.Fatal(err)
		}
		c.tower("half").old = lines[:strings.Index(lines, "\n")+1]
		s := c.run(func() { time.Sleep(10 * time.Second) })
		want(t, "added", slices.Contains(c.added(), "10 [good half] 3 false"), true)
		want(t, "failing", s.failing(time.Now()), 9*time.Second)
		want(t, "lines about it", strings.Count(c.text.String(), `msg="checkpoint not cosigned" cosigner=https://half `), 1)
	})
}

// TestSubmitterResumes: a checkpoint that has cosignatures from before is submitted without
// them and keeps them.
func TestSubmitterResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoast(t, "good", "other")
		c.publish(10)
		cp, err := receipt.ReadCheckpoint(string(c.latest.Note))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := c.tower("other").key.Sign(cp)
		if err != nil {
			t.Fatal(err)
		}
		c.latest.Note = append(c.latest.Note, lines...)
		c.tower("other").away(errors.New("connection refused"))
		c.run(func() { time.Sleep(1500 * time.Millisecond) })
		want(t, "added", c.added(), []string{"10 [good other] 4 true"})
	})
	if (*submitter)(nil).failing(time.Now()) != 0 || len((*submitter)(nil).Cosigners()) != 0 {
		t.Error("a cosigner fails where there is none")
	}
}

// TestReadCosigners: a file that names no URL, too many or one that is not allowed is
// refused, as nothing would be submitted.
func TestReadCosigners(t *testing.T) {
	key, err := cosign.NewKey("a.example")
	if err != nil {
		t.Fatal(err)
	}
	lines := "origin " + logtest.Origin + "\n" + key.Policy() + "quorum a.example\n"
	many := "origin x\nquorum none0\n"
	for i := range maxCosigners + 1 {
		other, err := cosign.NewKey("b.example")
		if err != nil {
			t.Fatal(err)
		}
		many += fmt.Sprintf("witness none%d %s https://a.example/%d\n", i, other.Verifiers()[0], i)
	}
	for name, tt := range map[string]struct {
		policy, allow string
		want          string // part of the error
	}{
		"https":          {logtest.AtURL(lines, "https://a.example"), "a.example", ""},
		"http":           {logtest.AtURL(lines, "http://127.0.0.1:8080/x"), "127.0.0.1:8080", ""},
		"not allowed":    {logtest.AtURL(lines, "https://a.example"), "b.example", "not allowed"},
		"another port":   {logtest.AtURL(lines, "https://a.example:8443"), "a.example", "not allowed"},
		"http elsewhere": {logtest.AtURL(lines, "http://a.example"), "a.example", "not allowed"},
		"no URL":         {lines, "a.example", "names 0 URLs"},
		"too many":       {many, "a.example", "names 9 URLs"},
		"no scheme":      {logtest.AtURL(lines, "a.example"), "a.example", "https://"},
		"a query":        {logtest.AtURL(lines, "https://a.example/x?y"), "a.example", "query"},
		"no policy":      {"", "a.example", "no log"},
	} {
		path := filepath.Join(t.TempDir(), "policy")
		if err := os.WriteFile(path, []byte(tt.policy), 0o600); err != nil {
			t.Fatal(err)
		}
		policy, err := readCosigners(&config.Config{Cosigners: path, NotifyAllow: []string{tt.allow}})
		if (err == nil) != (tt.want == "") || (policy != nil) != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if policy, err := readCosigners(&config.Config{}); policy != nil || err != nil {
		t.Errorf("without a file: %v, %v", policy, err)
	}
	if _, err := readCosigners(&config.Config{Cosigners: "/nonexistent"}); err == nil {
		t.Error("a file that does not exist was read")
	}
}
