package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// recorder keeps everything that a server answers.
type recorder struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// RoundTrip is http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.all, "%s %s\n%v\n%s\n", req.Method, req.URL.Path, res.Header, body)
	return res, nil
}

// get asks for a path and wants any answer at all.
func (r *recorder) get(t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

// TestNoKeyGetsOut uses a server in every way there is and then looks for its
// keys and signatures in all that it answered, logged, wrote to the disk and
// has in the memory of its core. The tag is only where it must be: in the
// answer to its own client.
func TestNoKeyGetsOut(t *testing.T) {
	t.Parallel()
	b, rec := startBackend(t, t.TempDir()), &recorder{}
	var err error
	if b.Client, err = client.New(b.url, client.Config{Transport: rec, Retries: -1}); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	epoch, err := b.Epoch(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	f := newFinder(t, epoch.PublicKey)
	var tags []protocol.Tag
	for _, a := range b.answers(ctx, 3) {
		f.know(a.ch.Payload[:], a.ch.Tag[:])
		tags = append(tags, a.ch.Tag)
		wrong := *a
		wrong.proof = bytes.Repeat([]byte{7}, protocol.ProofSize)
		if len(tags) == 2 {
			b.wantCode(ctx, &wrong, protocol.CodeProofRejected)
			continue
		}
		b.wantAccepted(ctx, a)
	}
	if _, err := b.push(ctx, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	size, _ := publishedIn(t, b.data)
	for _, path := range []string{
		"/v1/claims", "/v1/epochs", "/v1/epochs/1", "/v1/epochs/1/issued", "/v1/epochs/2", "/v1/status", "/checkpoint", "/openapi.json", "/docs", "/",
		fmt.Sprintf("/tile/0/000.p/%d", size), fmt.Sprintf("/tile/entries/000.p/%d", size), "/v1/keys", "/metrics", "/debug/pprof/",
	} {
		rec.get(t, b.url+path)
	}
	searchMemory(t, b, f)
	files := dataFiles(t, b.data)
	b.stop(10 * time.Second)
	for name, content := range dataFiles(t, b.data) {
		files[name+", stopped"] = content
	}
	files["standard error"] = []byte(b.stderr())
	for name, content := range files {
		for _, tag := range tags {
			if bytes.Contains(content, tag[:]) || bytes.Contains(content, []byte(tag.String())) {
				t.Errorf("%s holds a tag", name)
			}
		}
		if bytes.Contains(content, []byte(`sealed"`)) {
			t.Errorf("%s holds an event", name)
		}
	}
	files["the answers"] = rec.all.Bytes()
	for name, content := range files {
		if what := f.findText(content); what != "" {
			t.Errorf("%s holds %s", name, what)
		}
	}
	t.Logf("%d files, %d bytes of answers", len(files), rec.all.Len())
}

// dataFiles reads every file of a data directory.
func dataFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		files[name] = b
		return err
	})
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files in the data directory, %v", len(files), err)
	}
	return files
}

// searchMemory looks into the memory of the core and of the keyholders, where
// it can be read; a key lies at a multiple of 8, as everything of that size
// that a Go program allocates. None is in the core, and neither keyholder has
// the other's. That the search finds a keyholder's own key is logged.
func searchMemory(t *testing.T, b *backend, f *finder) {
	t.Helper()
	if testing.Short() {
		t.Log("short: the memory of the processes was not searched")
		return
	}
	core, err := f.findMemory(b.cmd.Process.Pid, "")
	if err != nil {
		t.Logf("the memory of the core cannot be read here, so it was not searched: %v", err)
		return
	}
	if core != "" {
		t.Errorf("the memory of the core holds %s", core)
	}
	for kind, keys := range map[string]struct{ own, foreign string }{"signer": {foundPrivate, foundMAC}, "tagger": {foundMAC, foundPrivate}} {
		pid := b.child(kind, 0)
		if what, err := f.findMemory(pid, keys.foreign); err == nil && what != "" {
			t.Errorf("the memory of the %s holds %s", kind, what)
		}
		what, err := f.findMemory(pid, keys.own)
		t.Logf("memory of the %s: found %q, %v", kind, what, err)
	}
}

// findMemory looks for one thing, or all if only is "", in the memory of a
// process.
func (f *finder) findMemory(pid int, only string) (what string, err error) {
	g := *f
	g.only = only
	areas, err := memoryOf(pid)
	for _, area := range areas {
		if found := g.find(area, 8); found != "" {
			return found, nil
		}
	}
	return "", err
}

var mapLine = regexp.MustCompile(`^([0-9a-f]+)-([0-9a-f]+) rw-p .* 0 *(\[heap\]|\[stack\]|\[anon.*)?$`)

// memoryOf reads the writable anonymous memory of a process, leaving out pages
// that are all zero.
func memoryOf(pid int) (areas [][]byte, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		m := mapLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		from, _ := strconv.ParseInt(m[1], 16, 64)
		to, _ := strconv.ParseInt(m[2], 16, 64)
		areas = append(areas, usedPages(mem, from, to)...)
	}
	if len(areas) == 0 {
		return nil, fmt.Errorf("none of its memory")
	}
	return areas, nil
}

// usedPages reads runs of pages that hold anything.
func usedPages(mem io.ReaderAt, from, to int64) (areas [][]byte) {
	const page = 4096
	var run []byte
	buf := make([]byte, page)
	empty := make([]byte, page)
	for at := from; at < to; at += page {
		if _, err := mem.ReadAt(buf, at); err == nil && !bytes.Equal(buf, empty) {
			run = append(run, buf...)
			continue
		}
		if run != nil {
			areas, run = append(areas, run), nil
		}
	}
	if run != nil {
		areas = append(areas, run)
	}
	return areas
}

// TestRestart: a restart, in order or by a kill, leaves no key, tag or pending
// request behind and makes all keys anew; what was accepted before verifies
// before, during and after.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*backend){
		"in order":  func(b *backend) { b.stop(10 * time.Second) },
		"by a kill": (*backend).kill,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			restart(t, end)
		})
	}
}

func restart(t *testing.T, end func(*backend)) {
	t.Helper()
	ctx, data := t.Context(), t.TempDir()
	trust, err := receipt.OpenTrust(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	offline := receipt.Options{Trust: trust}

	b := startBackend(t, data)
	kept := b.wantAccepted(ctx, b.mustAnswer(ctx))
	cp, err := kept.Receipt.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Record(ctx, cp, client.NewLog(b.Client), asLive, time.Now()); err != nil {
		t.Fatal(err)
	}
	pending := b.mustAnswer(ctx)
	first, err := b.Epoch(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	end(b)
	wantValid(t, kept.Receipt, offline) // no server runs

	b = startBackend(t, data)
	second, err := b.Epoch(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	wantOtherKeys(t, first, second)
	b.wantCode(ctx, pending, protocol.CodeSubmissionRejected)
	fresh := b.mustAnswer(ctx)
	stale := *fresh
	ch := *fresh.ch
	ch.Tag = pending.ch.Tag
	stale.ch = &ch
	b.wantCode(ctx, &stale, protocol.CodeSubmissionRejected) // a tag of the old key
	b.wantAccepted(ctx, fresh)

	again, err := b.Receipt(ctx, kept.RequestID, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	log := client.NewLog(b.Client)
	wantValid(t, again, receipt.Options{Trust: trust, Log: log, Live: func(ctx context.Context) (*receipt.Checkpoint, receipt.Source, error) {
		cp, err := log.SignedCheckpoint(ctx)
		return cp, asLive, err
	}}) // signed by the new key
	if report := receipt.Verify(ctx, again, receipt.Options{Trust: trust, Log: log}); report.Verdict != receipt.Unvouched {
		t.Errorf("a new key that only a copy of the log shows is %s", report.Verdict)
	}
	b.stop(10 * time.Second)
	wantValid(t, kept.Receipt, offline)
}

func wantOtherKeys(t *testing.T, a, b *api.Epoch) {
	t.Helper()
	if bytes.Equal(a.PublicKey, b.PublicKey) || a.CheckpointKey == b.CheckpointKey || a.ID == b.ID || a.Instance == b.Instance {
		t.Errorf("something of epoch 1 is in epoch 2: ids %s and %s, checkpoint keys %s and %s", a.ID, b.ID, a.CheckpointKey, b.CheckpointKey)
	}
	if len(a.PublicKey) != protocol.MLDSAPublicKeySize || len(b.PublicKey) != protocol.MLDSAPublicKeySize {
		t.Errorf("public keys of %d and %d bytes", len(a.PublicKey), len(b.PublicKey))
	}
}
