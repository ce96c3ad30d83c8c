package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/watch"
)

// hook receives webhooks of a server and checks their signatures.
type hook struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	secret []byte
	got    []string // type, and rules if there are any
	times  []time.Time
}

func (h *hook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	m := hmac.New(sha256.New, h.secret)
	fmt.Fprintf(m, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), b)
	if want := "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
		h.t.Errorf("signature %s, want %s", r.Header.Get("Webhook-Signature"), want)
	}
	var body struct {
		Type string       `json:"type"`
		Data watch.Notice `json:"data"`
	}
	if err := json.Unmarshal(b, &body); err != nil {
		h.t.Errorf("%s: %v", b, err)
	}
	text := body.Type
	for _, a := range body.Data.Alerts {
		text += " " + a.Rule
	}
	h.got, h.times = append(h.got, text), append(h.times, time.Now())
}

// when waits for a message and returns when it arrived.
func (h *hook) when(text string) time.Time {
	h.t.Helper()
	for late := time.Now().Add(20 * time.Second); time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
		h.mu.Lock()
		i := slices.Index(h.got, text)
		h.mu.Unlock()
		if i >= 0 {
			return h.times[i]
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.t.Fatalf("no %q among %q", text, h.got)
	return time.Time{}
}

// TestAlerts: a server with a webhook notifies what fires within two ticks and what ends,
// signed, also if its notifier is killed. Silences survive a restart. Nothing about the
// secret is on the disk but in the store, and the server works without a notifier.
func TestAlerts(t *testing.T) {
	t.Parallel()
	h := &hook{t: t}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	data := filepath.Join(t.TempDir(), "data")
	settings := []string{"--notify-allow", strings.TrimPrefix(h.URL, "http://"), "--alert-every", "1s", "--alert-window", "2s", "--alert-keep", "1s"}
	b := startBackend(t, data, settings...)
	td := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := runTD(append(args, "--data", data)...)
		if code != 0 {
			t.Fatalf("%q: exit %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	out := td("admin", "alerts", "sinks", "add", h.URL+"/secret-path", "--show", "--reason", "test")
	secret := regexp.MustCompile(`secret +whsec_(\S+)`).FindStringSubmatch(out)
	sink := regexp.MustCompile(`sink +(\S+)`).FindStringSubmatch(out)
	if len(secret) != 2 || len(sink) != 2 {
		t.Fatal(out)
	}
	h.mu.Lock()
	h.secret, _ = base64.StdEncoding.DecodeString(secret[1])
	h.mu.Unlock()
	td("admin", "alerts", "test", sink[1], "--reason", "test")
	h.when("alert.test")

	frozen := time.Now()
	td("admin", "freeze", "--issue", "--reason", "test")
	took := h.when("alert.fired Frozen").Sub(frozen)
	t.Logf("delivered %v after the freeze", took)
	if s := td("admin", "alerts"); !strings.Contains(s, "Frozen") || !strings.Contains(s, "firing") {
		t.Error(s)
	}
	if pid := b.child("notifier", 0); syscall.Kill(pid, syscall.SIGKILL) != nil {
		t.Fatal(pid)
	}
	td("admin", "thaw", "--issue", "--yes", "--reason", "test")
	h.when("alert.resolved Frozen")
	if s := td("admin", "status"); !strings.Contains(s, "  running, since") || !strings.Contains(s, "1 exit, ") {
		t.Error(s)
	}

	td("admin", "alerts", "silence", "Frozen", "--for", "1h", "--reason", "drill")
	if s := td("admin", "alerts", "sinks"); strings.Contains(s, "secret-path") || !strings.Contains(s, h.URL) {
		t.Error(s)
	}
	if s := td("admin", "responses"); !strings.Contains(s, "dry-run") || !strings.Contains(s, "no penalty") {
		t.Error(s)
	}
	if code, _, stderr := runTD("admin", "responses", "lift", "network:192.0.2.0/24", "--reason", "test", "--data", data); code == 0 || !strings.Contains(stderr, "has no penalty") {
		t.Errorf("a penalty that there is none of: exit %d, %s", code, stderr)
	}
	b.stop(20 * time.Second)
	kept := 0
	for _, name := range files(t, data) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), secret[1]) || strings.Contains(string(text), "secret-path") {
			if kept++; filepath.Base(name) != "store" {
				t.Errorf("%s holds the secret", name)
			}
		}
	}
	if info, err := os.Stat(filepath.Join(data, "notify", "store")); err != nil || info.Mode().Perm() != 0o600 || kept != 1 {
		t.Error(info, err, kept)
	}
	b = startBackend(t, data, settings...)
	if s := td("admin", "alerts"); !strings.Contains(s, "Frozen") || !strings.Contains(s, "drill") {
		t.Errorf("after a restart: %s", s)
	}
	b.stop(20 * time.Second)
	b = startBackend(t, data, "--alert-every", "1s") // no destination is allowed
	if code, _, stderr := runTD("admin", "alerts", "sinks", "add", h.URL, "--show", "--reason", "test", "--data", data); code == 0 || !strings.Contains(stderr, "notify_allow") {
		t.Errorf("without notify_allow: exit %d, %s", code, stderr)
	}
	b.stop(20 * time.Second)
}

// files lists the files below a directory.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
