package attack_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/internal/testdata/proctest"
)

// receiver is a receiver of Standard Webhooks. It checks the signature of each message.
type receiver struct {
	url string

	mu     sync.Mutex
	secret []byte
	got    []string // bodies whose signature was right, in order
	bad    []string // why others were refused
}

// newReceiver starts a receiver, which ends with the part.
func (p *part) newReceiver() *receiver {
	p.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	p.must(err)
	r := &receiver{url: "http://" + l.Addr().String() + "/alerts"}
	s := &http.Server{Handler: r, ReadHeaderTimeout: floodWithin}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Close
	}()
	p.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return r
}

// use sets the secret of the sink, in the form whsec_BASE64.
func (r *receiver) use(secret string) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	return err
}

// ServeHTTP takes one message.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	r.mu.Lock()
	defer r.mu.Unlock()
	if err = errors.Join(err, r.verify(req.Header, body, time.Now())); err != nil {
		r.bad = append(r.bad, err.Error())
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.got = append(r.got, string(body))
	w.WriteHeader(http.StatusNoContent)
}

// verify checks the signature over id, time and body, and that the time is now.
func (r *receiver) verify(h http.Header, body []byte, now time.Time) error {
	id, at := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || id == "" || len(r.secret) == 0 {
		return fmt.Errorf("a message without id, time or secret: %w", err)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age.Abs() > 5*time.Minute {
		return fmt.Errorf("the message is %v old", age)
	}
	mac := hmac.New(sha256.New, r.secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !slices.Contains(strings.Fields(h.Get("webhook-signature")), want) {
		return errors.New("the signature is not right")
	}
	return nil
}

// has reports whether a message names all words.
func (r *receiver) has(words ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.got, func(body string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(body, w) })
	})
}

// alertmanager is a real one.
type alertmanager struct{ url string }

// newAlertmanager starts an Alertmanager, which ends with the part; nil if there is none on
// this machine.
func (p *part) newAlertmanager() *alertmanager {
	p.Helper()
	program := os.Getenv(envAlertmanager)
	if program == "" {
		p.skip("delivery to an Alertmanager", "there is no prometheus-alertmanager on this machine")
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	p.must(err)
	address := l.Addr().String()
	p.must(l.Close())
	config := filepath.Join(p.work, "alertmanager.yml")
	p.must(os.WriteFile(config, []byte("route: {receiver: none}\nreceivers: [{name: none}]\n"), 0o600))
	cmd := exec.Command(program, "--config.file="+config, "--storage.path="+filepath.Join(p.work, "alertmanager"),
		"--web.listen-address="+address, "--cluster.listen-address=", "--log.level=error")
	p.must(cmd.Start())
	p.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	a := &alertmanager{"http://" + address}
	p.must(proctest.Eventually(20*time.Second, "the Alertmanager is not ready", func() bool {
		_, err := a.active(p.Context())
		return err == nil
	}))
	return a
}

// active returns the names of the alerts that are active.
func (a *alertmanager) active(ctx context.Context) (names []string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/api/v2/alerts?active=true", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var alerts []struct{ Labels map[string]string }
	if err := json.NewDecoder(res.Body).Decode(&alerts); err != nil {
		return nil, err
	}
	for _, alert := range alerts {
		names = append(names, alert.Labels["alertname"])
	}
	return names, nil
}
