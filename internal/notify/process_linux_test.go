package notify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/notify"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/watch"
)

func TestMain(m *testing.M) {
	for _, run := range []func([]string) (int, bool){process.RunLauncher, notify.RunChild} {
		if status, ok := run(os.Args); ok {
			os.Exit(status)
		}
	}
	os.Exit(m.Run())
}

// lines keeps the log.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running starts a notifier with a store, which ends with the test. launched starts it
// through a launcher, where this build has one.
func running(t *testing.T, launched bool, p notify.Program) (*notify.Notifier, *lines, string) {
	t.Helper()
	n, log, name := starting(t, launched, p)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", log)
		}
	})
	until(t, "the notifier runs", func() bool { return n.PID() != 0 })
	return n, log, name
}

func starting(t *testing.T, launched bool, p notify.Program) (*notify.Notifier, *lines, string) {
	t.Helper()
	p.UID, p.Pause = sandbox.FirstUID+4, 20*time.Millisecond
	name := filepath.Join(t.TempDir(), "store")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	programs, files := p.Arguments(), map[string]*os.File{notify.Kind: f}
	var starter notify.Starter = process.Direct{Programs: programs, Files: files}
	if launched {
		l, err := process.Launch(t.Context(), programs, files)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		starter = l
	}
	log := &lines{}
	n := notify.New(notify.Config{Starter: starter, Log: slog.New(slog.NewTextHandler(log, nil)), MinBackoff: 10 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return n, log, name
}

// hostOf returns the host and port of a URL.
func hostOf(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// until waits until something is true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(late) {
			t.Fatalf("%s: not within 20 s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// hook is a receiver of webhooks that checks signatures.
type hook struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	secret []byte
	down   bool
	got    []string // ids, in order
	bodies []string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{t: t}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	id := r.Header.Get("Webhook-Id")
	m := hmac.New(sha256.New, h.secret)
	fmt.Fprintf(m, "%s.%s.%s", id, r.Header.Get("Webhook-Timestamp"), body)
	if got, want := r.Header.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)); got != want {
		h.t.Errorf("signature of %s is %s, want %s", id, got, want)
	}
	h.got, h.bodies = append(h.got, id), append(h.bodies, string(body))
}

func (h *hook) ids() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func (h *hook) set(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

// add makes the receiver a sink of the notifier.
func (h *hook) add(n *notify.Notifier) (id string) {
	h.t.Helper()
	return h.addAt(n, h.URL)
}

// addAt adds the hook at another address. Messages are then signed with its new secret.
func (h *hook) addAt(n *notify.Notifier, base string) (id string) {
	h.t.Helper()
	id, secret, err := n.Add(h.t.Context(), notify.KindWebhook, base+"/in")
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.secret, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_")); err != nil || len(h.secret) != 32 {
		h.t.Fatal(secret, err)
	}
	return id
}

// TestNotifier: a real notifier, started by a launcher, is confined and delivers. Each
// message has a signature that its receiver can check. What waits survives kill -9. A
// destination that is not allowed is refused.
func TestNotifier(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	ours, file := authority(t)
	authorities, err := notify.ReadAuthorities(file)
	if err != nil {
		t.Fatal(err)
	}
	private, foreign := httptest.NewUnstartedServer(h), httptest.NewTLSServer(h)
	private.TLS = &tls.Config{Certificates: []tls.Certificate{ours}, MinVersion: tls.VersionTLS12}
	private.StartTLS()
	t.Cleanup(private.Close)
	t.Cleanup(foreign.Close)
	n, log, name := running(t, true, notify.Program{
		Allowed:     []string{hostOf(t, h.URL), hostOf(t, private.URL), hostOf(t, foreign.URL), "example.invalid:80"},
		Authorities: authorities,
	})
	ctx := t.Context()
	id := h.add(n)
	if err := n.Test(ctx, id, "msg-test", notify.Body(notify.TypeTest, time.Now(), nil)); err != nil {
		t.Fatal(err, log)
	}
	if err := n.Heartbeat(ctx, "msg-beat", notify.Body(notify.TypeHeartbeat, time.Now(), nil)); err != nil {
		t.Fatal(err)
	}
	want := []string{"msg-test", "msg-beat"}
	until(t, "the heartbeat arrives", func() bool { return slices.Equal(h.ids(), want) })
	h.set(true)
	for i := range 20 {
		want = append(want, fmt.Sprint("msg-", i))
		if err := n.Notice(ctx, want[len(want)-1], []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	before := n.PID()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "another notifier runs", func() bool { pid := n.PID(); return pid != 0 && pid != before })
	h.set(false)
	until(t, "all that waited arrives", func() bool { return len(h.ids()) >= len(want) })
	if got := h.ids(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, refused := range []string{"http://169.254.169.254/", "http://127.0.0.1:22/", "https://127.0.0.1/"} {
		if _, _, err := n.Add(ctx, notify.KindWebhook, refused); !errors.Is(err, notify.ErrRefused) {
			t.Errorf("%s: %v", refused, err)
		}
	}
	if _, _, err := n.Add(ctx, notify.KindWebhook, "http://example.invalid/"); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 || info.Size() > notify.StoreSize {
		t.Error(info, err)
	}
	sinks, err := n.Sinks(ctx)
	if err != nil || len(sinks) != 2 || sinks[0].Target != h.URL || sinks[0].Waiting != 0 || sinks[0].LastError != "" {
		t.Errorf("%+v, %v", sinks, err)
	}
	after := n.PID()
	if err := n.Test(ctx, sinks[1].ID, "m", []byte("{}")); err == nil || n.PID() != after { // however name servers answer
		t.Errorf("a name without an address: %v, process %d", err, n.PID())
	}
	overTLS, _, err := n.Add(ctx, notify.KindWebhook, foreign.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Test(ctx, overTLS, "m", []byte("{}")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a receiver with a certificate of its own: %v", err)
	}
	if err := n.Test(ctx, h.addAt(n, private.URL), "m", []byte("{}")); err != nil {
		t.Errorf("a receiver with a certificate of our authority: %v", err)
	}
	if err := n.Remove(ctx, id); err != nil {
		t.Error(err)
	}
	if !sandbox.AllThreads || strings.Contains(log.String(), "not locked in") {
		t.Logf("%s", log)
	}
	for _, measure := range []string{"seccomp", "self_test", "no_new_privs", "dumpable", "descriptors"} {
		if !strings.Contains(log.String(), "id="+measure+" state=ok") {
			t.Errorf("measure %s is not ok", measure)
		}
	}
}

// TestForwardOverTLS: a real notifier, started by a launcher, carries a request of the core
// to a cosigner behind TLS whose certificate is of our authority, and to no other one.
func TestForwardOverTLS(t *testing.T) {
	t.Parallel()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		_, _ = io.Copy(w, r.Body)
	})
	ours, file := authority(t)
	authorities, err := notify.ReadAuthorities(file)
	if err != nil {
		t.Fatal(err)
	}
	private, foreign := httptest.NewUnstartedServer(echo), httptest.NewTLSServer(echo)
	private.TLS = &tls.Config{Certificates: []tls.Certificate{ours}, MinVersion: tls.VersionTLS12}
	private.StartTLS()
	t.Cleanup(private.Close)
	t.Cleanup(foreign.Close)
	n, _, _ := running(t, true, notify.Program{Allowed: []string{hostOf(t, private.URL), hostOf(t, foreign.URL)}, Authorities: authorities})
	sent := strings.Repeat("x", 32<<10)
	status, kind, body, err := n.Forward(t.Context(), private.URL+"/add-checkpoint", []byte(sent))
	if err != nil || status != http.StatusConflict || kind != "text/x.tlog.size" || string(body) != sent {
		t.Errorf("%d %q, %d bytes, %v", status, kind, len(body), err)
	}
	if _, _, _, err := n.Forward(t.Context(), foreign.URL, []byte("x")); !errors.Is(err, notify.ErrRefused) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of another authority: %v", err)
	}
	if _, _, _, err := n.Forward(t.Context(), "https://127.0.0.1/", []byte("x")); !errors.Is(err, notify.ErrRefused) {
		t.Errorf("a destination that is not allowed: %v", err)
	}
}

// authority makes an authority and a certificate for 127.0.0.1, and returns this
// certificate and a file with that of the authority.
func authority(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, name
}

// TestAuthorities: a file that holds more than certificates of authorities, or nothing, is
// refused. A notifier that cannot read them exits, and the log says how.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	_, good := authority(t)
	if all, err := notify.ReadAuthorities(good); err != nil || len(all) == 0 {
		t.Fatal(len(all), err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.pem")
	for _, content := range []string{"", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", string(text) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := notify.ReadAuthorities(bad); err == nil {
			t.Errorf("%q was taken", content)
		}
	}
	n, log, _ := starting(t, false, notify.Program{Allowed: []string{"127.0.0.1"}, Authorities: []byte("no certificate")})
	until(t, "the notifier exits again and again", func() bool { return n.State().Exits > 2 })
	if s := n.State(); s.Runs || !strings.Contains(s.How, "exit status 2") || !strings.Contains(log.String(), "notifier exited") {
		t.Errorf("%+v\n%s", s, log)
	}
}

// TestAlertmanager: a real Alertmanager takes the state, lists what fires, and drops what
// has ended.
func TestAlertmanager(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		t.Skip("prometheus-alertmanager is not installed (Debian package prometheus-alertmanager)")
	}
	base := alertmanager(t, path)
	n, _, _ := running(t, false, notify.Program{Allowed: []string{hostOf(t, base)}})
	ctx := t.Context()
	id, secret, err := n.Add(ctx, notify.KindAlertmanager, base)
	if err != nil || secret != "" {
		t.Fatal(secret, err)
	}
	begun := time.Now().Add(-time.Minute)
	engine := watch.New(begun, watch.Options{Keep: time.Second})
	in := watch.Input{Window: time.Minute, Gauges: watch.NoGauges()}
	in.Global[watch.WrongTags] = 100
	engine.Tick(begun.Add(time.Second), &in)
	engine.Tick(begun.Add(2*time.Second), &in)
	send := func(now time.Time) {
		if err := n.Sync(ctx, notify.StateBody(engine.Current(now), now, 4*time.Minute, "test", base)); err != nil {
			t.Fatal(err)
		}
	}
	send(time.Now())
	until(t, "both are active", func() bool { return slices.Equal(active(t, base), []string{"Heartbeat", "WrongTags"}) })
	in.Global[watch.WrongTags] = 0
	engine.Tick(begun.Add(3*time.Second), &in)
	engine.Tick(begun.Add(5*time.Second), &in)
	send(begun.Add(5 * time.Second))
	until(t, "one has ended", func() bool { return slices.Equal(active(t, base), []string{"Heartbeat"}) })
	if err := n.Test(ctx, id, "", notify.StateBody(engine.Current(time.Now()), time.Now(), time.Minute, "test", base)); err != nil {
		t.Error(err)
	}
}

// alertmanager starts an Alertmanager on loopback, which ends with the test.
func alertmanager(t *testing.T, path string) (base string) {
	t.Helper()
	dir := t.TempDir()
	settings := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(settings, []byte("route:\n  receiver: none\nreceivers:\n- name: none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--config.file="+settings, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	until(t, "the Alertmanager is ready", func() bool {
		resp, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return "http://" + address
}

// active returns the names of the alerts that an Alertmanager lists as active.
func active(t *testing.T, base string) (names []string) {
	t.Helper()
	resp, err := http.Get(base + "/api/v2/alerts?active=true")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var list []struct {
		Labels map[string]string `json:"labels"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		names = append(names, a.Labels["alertname"])
	}
	slices.Sort(names)
	return names
}
