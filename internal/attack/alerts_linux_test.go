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

const (
	alertTick  = time.Second
	alertTicks = 2           // from the begin of a flood until its alert has fired
	delivery   = time.Second // for the message, beside these ticks
	clearTime  = 15 * time.Second
)

// alerting are the settings of a server whose alerts are observed.
var alerting = []string{
	"--alert-every", alertTick.String(), "--alert-window", "2s", "--alert-keep", "1s",
	// The disk of this machine is no part of the attack.
	"--alert-rules", "DiskLow=off", "--alert-rules", "DiskFull=off",
}

// alerts observes the alerts of one server at their receivers.
type alerts struct {
	server  *server
	hook    *receiver
	manager *alertmanager // may be nil
}

// newAlerts starts receivers.
func (p *part) newAlerts() *alerts {
	p.Helper()
	return &alerts{hook: p.newReceiver(), manager: p.newAlertmanager()}
}

// settings are those of a server that may deliver to these receivers.
func (a *alerts) settings() []string {
	allowed := hostOf(a.hook.url)
	if a.manager != nil {
		allowed += "," + hostOf(a.manager.url)
	}
	return append([]string{"--notify-allow", allowed}, alerting...)
}

// hostOf returns the host and port of a URL.
func hostOf(text string) string {
	_, rest, _ := strings.Cut(text, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// observe adds the receivers to a server as sinks.
func (p *part) observe(a *alerts, s *server) {
	p.Helper()
	a.server = s
	out, err := s.admin(p.Context(), "alerts", "sinks", "add", a.hook.url, "--show", "--reason", "attack")
	p.must(err)
	p.must(a.hook.use(out))
	if a.manager != nil {
		_, err := s.admin(p.Context(), "alerts", "sinks", "add", a.manager.url, "--kind", "alertmanager", "--reason", "attack")
		p.must(err)
	}
}

// fires waits until each receiver knows that the rule of a flood fires. It returns which
// rules each had received by then, and how long that took from when the flood could first be
// seen.
func (a *alerts) fires(ctx context.Context, rule string, began, seen time.Time) (*delivered, error) {
	d := new(delivered)
	due := seen.Add(alertTicks*alertTick + delivery)
	err := proctest.Eventually(time.Until(due), "alert "+rule+" was not delivered", func() bool {
		d.Alertmanager.see(seen, rule, func() []string { active, _ := a.manager.active(ctx); return active }) // none while it does not answer
		d.Webhook.see(seen, rule, func() []string { return a.hook.firing(began) })
		return d.Webhook.has && (d.Alertmanager.has || a.manager == nil)
	})
	if err != nil {
		firing, _ := a.server.firing(ctx)
		err = fmt.Errorf("%w: the server says %v, webhooks %v, Alertmanager %v", err, firing, d.Webhook.Rules, d.Alertmanager.Rules)
	}
	return d, err
}

// delivered is what the receivers have received about one flood until both knew its rule.
type delivered struct{ Alertmanager, Webhook received }

// received is what one receiver has received.
type received struct {
	Rules  []string `json:"rules"` // that fire
	Millis int64    `json:"ms"`    // until the rule of the flood was among them
	has    bool
}

// see asks the receiver, unless it knows the rule already.
func (t *received) see(began time.Time, rule string, firing func() []string) {
	if t.has {
		return
	}
	t.Rules = firing()
	slices.Sort(t.Rules)
	t.Rules = slices.Compact(t.Rules)
	t.Millis, t.has = time.Since(began).Milliseconds(), slices.Contains(t.Rules, rule)
}

// firing returns the rules that fire, the hidden ones included.
func (s *server) firing(ctx context.Context) (rules []string, err error) {
	out, err := s.admin(ctx, "alerts", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Alerts []struct{ Rule, State string }
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	for _, alert := range list.Alerts {
		if alert.State == "firing" {
			rules = append(rules, alert.Rule)
		}
	}
	return rules, nil
}

// clears waits until no alert is left anywhere, but those about verdicts.
func (a *alerts) clears(ctx context.Context) error {
	var open, active []string
	err := proctest.Eventually(clearTime, "alerts do not clear", func() bool {
		var failed error
		open = a.hook.open()
		active, failed = a.manager.active(ctx)
		return failed == nil && len(open)+len(active) == 0
	})
	if err != nil {
		return fmt.Errorf("%w: webhooks %v, Alertmanager %v", err, open, active)
	}
	return nil
}

// receiver is a receiver of Standard Webhooks. It checks the signature of each message.
type receiver struct {
	url string

	mu     sync.Mutex
	secret []byte
	got    []message // whose signature was right, in order
	bad    []string  // why others were refused
}

// told is one alert of a message.
type told struct {
	Rule  string
	Ended *time.Time
}

// message is what a webhook says about one incident.
type message struct {
	Type string
	Data struct {
		Incident uint64
		Alerts   []told
	}
	at time.Time
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

// use reads the secret of the sink from what the command that adds it prints.
func (r *receiver) use(printed string) (err error) {
	_, secret, ok := strings.Cut(printed, "whsec_")
	if !ok {
		return errors.New("no secret was printed")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret, err = base64.StdEncoding.DecodeString(strings.Fields(secret)[0])
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
	m := message{at: time.Now()}
	if err := json.Unmarshal(body, &m); err != nil {
		r.bad = append(r.bad, err.Error())
	}
	r.got = append(r.got, m)
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

// firing returns the rules that fire, as messages since a time say.
func (r *receiver) firing(since time.Time) (rules []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.got {
		for _, alert := range m.Data.Alerts {
			if m.Type != resolved && m.at.After(since) && alert.Ended == nil {
				rules = append(rules, alert.Rule)
			}
		}
	}
	return rules
}

// resolved is the type of the message that ends an incident.
const resolved = "alert.resolved"

// open returns the last messages about the incidents that are not resolved.
func (r *receiver) open() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := map[uint64]message{}
	for _, m := range r.got {
		if m.Data.Incident != 0 {
			last[m.Data.Incident] = m
		}
	}
	for _, m := range last {
		lasts := slices.ContainsFunc(m.Data.Alerts, func(a told) bool { return !lingers(a.Rule) })
		if m.Type != resolved && lasts {
			all = append(all, fmt.Sprint(m.Type, m.Data.Alerts))
		}
	}
	return all
}

// lingers reports whether a rule is about verdicts, which stay in force for an hour after
// what they are about.
func lingers(rule string) bool { return strings.HasPrefix(rule, "Anomaly") }

// refused returns why messages were refused.
func (r *receiver) refused() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bad)
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

// active returns the names of the alerts that are active, without the heartbeat.
func (a *alertmanager) active(ctx context.Context) (names []string, err error) {
	if a == nil {
		return nil, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/api/v2/alerts", nil)
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
		if name := alert.Labels["alertname"]; name != "Heartbeat" && !lingers(name) {
			names = append(names, name)
		}
	}
	return names, nil
}
