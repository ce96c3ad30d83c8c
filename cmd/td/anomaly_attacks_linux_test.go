package main_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/anomaly/inject"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
)

// served is an attack of the injector on a running server.
type served struct {
	name   string
	events int // of the attack, from its begin, that are sent as fast as the server takes them
	rule   string
	scope  string
	says   []string
}

// TestAttacksOnServer: attacks of the injector that need no hours end on a running server in
// their alert with its sentence. The server has baselines of 26 hours of synthetic traffic, as
// if it had been restarted after them. Each event of an attack is a request over HTTP, from an
// address or with a key of its own.
func TestAttacksOnServer(t *testing.T) {
	if testing.Short() {
		t.Skip("detectors look at minutes")
	}
	t.Parallel()
	for _, group := range [][]served{
		{
			{"burst", 300, "AnomalyPattern", "network:127.1.1.0/24", []string{"wrong tags in", "on network 127.1.1.0/24"}},
			{"one tenant", 40, "AnomalyRate", "client:tenant-43", []string{"wrong tags of client tenant-43"}},
			{"replay storm", 90, "AnomalyRate", "client:tenant-20", []string{"of client tenant-20"}},
			{"prover 3x slower", 40, "AnomalyProver", "client:tenant-02", []string{"slower"}},
		},
		{{"10,000 sources", 400, "AnomalyPattern", "claim:range/1", []string{"distributed over", "distinct networks"}}},
		{{"retry and guess", 75, "AnomalyPattern", "client:tenant-30", []string{"client tenant-30 had late answers, then replayed answers, then wrong tags"}}},
	} {
		t.Run(group[0].name, func(t *testing.T) {
			t.Parallel()
			b := startLearned(t)
			for i := range group {
				if err := newWire(b, adminOf(t, b), attackNamed(t, group[i].name), group[i].events).send(); err != nil {
					t.Fatalf("%s: %v", group[i].name, err)
				}
			}
			for i := range group {
				b.wantAlert(t, &group[i], attackNamed(t, group[i].name))
			}
			b.stop(20 * time.Second)
		})
	}
}

// attackNamed returns an attack of the injector.
func attackNamed(t *testing.T, name string) *inject.Attack {
	t.Helper()
	all := inject.Attacks()
	i := slices.IndexFunc(all, func(a inject.Attack) bool { return a.Name == name })
	if i < 0 {
		t.Fatalf("no attack is named %s", name)
	}
	return &all[i]
}

// startLearned starts a server with baselines in its data directory.
func startLearned(t *testing.T) *backend {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	b := startBackend(t, data)
	b.stop(20 * time.Second) // what is usual is written, as the user of the server
	const learned = 26 * time.Hour
	p, traffic, until := &anomaly.Player{Set: anomaly.NewSet()}, inject.NewTraffic(1, 100), time.Now()
	for at := until.Add(-learned); at.Before(until); at = at.Add(time.Minute) {
		traffic.Minute(at, p)
	}
	if err := os.WriteFile(filepath.Join(data, "anomaly", "usual"), p.Set.Save(until), 0o600); err != nil {
		t.Fatal(err)
	}
	b = startBackend(t, data, "--alert-every", "1s")
	td := adminOf(t, b)
	if list := anomalyList(t, td); list.Detectors.Restored == nil || list.Detectors.ProverWarm == 0 {
		t.Fatalf("no baselines: %+v\n%s", list.Detectors, b.stderr())
	}
	return b
}

// adminOf returns a function that runs a command on the data directory of a server.
func adminOf(t *testing.T, b *backend) func(...string) string {
	t.Helper()
	return func(args ...string) string {
		t.Helper()
		code, stdout, stderr := runTD(append(args, "--data", b.data)...)
		if code != 0 {
			t.Fatalf("%q: exit %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
}

// wantAlert waits for the alert of an attack, and for the verdict whose sentence it has.
func (b *backend) wantAlert(t *testing.T, s *served, a *inject.Attack) {
	t.Helper()
	td := adminOf(t, b)
	var list admin.AlertList
	matches := func(alert watch.Alert) bool {
		return alert.Rule == s.rule && alert.Scope == s.scope && alert.State == watch.Firing &&
			!slices.ContainsFunc(s.says, func(says string) bool { return !strings.Contains(alert.Sentence, says) })
	}
	eventually(t, 2*time.Minute, "no alert about the attack: "+s.name, func() bool {
		if err := json.Unmarshal([]byte(td("admin", "alerts", "-o", "json")), &list); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list.Alerts, matches)
	})
	sentence := list.Alerts[slices.IndexFunc(list.Alerts, matches)].Sentence
	t.Logf("%s: %s", s.name, sentence)
	eventually(t, 20*time.Second, "no verdict with the sentence of the alert", func() bool {
		return slices.ContainsFunc(anomalyList(t, td).Anomalies, func(v admin.Anomaly) bool {
			return v.Sentence == sentence && v.Scope == s.scope && slices.ContainsFunc(a.Finds, func(d anomaly.Detector) bool { return d.String() == v.Detector })
		})
	})
}

// wire sends the events of an attack to a server.
type wire struct {
	*backend
	admin   func(...string) string
	events  []telemetry.Request
	clients map[string]*client.Client
	targets map[string]*answer // of answers that are refused, by cause, client and claim
}

// newWire collects the first events of an attack: those that it adds, or the answers of one
// client that it changes.
func newWire(b *backend, td func(...string) string, a *inject.Attack, n int) *wire {
	w := &wire{backend: b, admin: td, clients: make(map[string]*client.Client), targets: make(map[string]*answer)}
	began := time.Now()
	mixer := inject.NewMixer(a, 1, began, w)
	traffic := inject.NewTraffic(2, 100)
	for at := began; len(w.events) < n; at = at.Add(time.Minute) {
		mixer.Change(telemetry.Change{At: at})
		if a.Factor > 0 {
			traffic.Minute(at, answersOf{mixer, "tenant-02"})
		}
	}
	w.events = w.events[:n]
	return w
}

// Request implements [telemetry.Observer].
func (w *wire) Request(q telemetry.Request) { w.events = append(w.events, q) }

// Change implements [telemetry.Observer].
func (w *wire) Change(telemetry.Change) {}

// answersOf passes on the right answers of one client.
type answersOf struct {
	telemetry.Observer
	client string
}

// Request implements [telemetry.Observer].
func (a answersOf) Request(q telemetry.Request) {
	if q.Client == a.client && q.Operation == "sendProof" && q.Cause == telemetry.NoCause {
		a.Observer.Request(q)
	}
}

// send sends each event as a request, as fast as the server takes them.
func (w *wire) send() error {
	var slow sync.WaitGroup
	defer slow.Wait()
	for i := range w.events {
		q := &w.events[i]
		from, err := w.from(q)
		if err != nil {
			return err
		}
		switch q.Cause {
		case telemetry.WrongTag:
			err = w.refused(from, q, protocol.CodeSubmissionRejected)
		case telemetry.Replayed:
			err = w.refused(from, q, protocol.CodeAlreadyConsumed)
		case telemetry.Late:
			err = w.refused(from, q, protocol.CodeExpired)
		default:
			err = w.answered(from, q, &slow)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", q.Cause, err)
		}
	}
	return nil
}

// from returns the client of an event: with its key, or at its address, whose first byte is
// replaced by that of the loopback network.
func (w *wire) from(q *telemetry.Request) (*client.Client, error) {
	at := q.Source.As4()
	at[0] = 127
	name := q.Client
	if name == "" {
		name = netip.AddrFrom4(at).String()
	}
	if c := w.clients[name]; c != nil {
		return c, nil
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: at[:]}}
	cfg := client.Config{Retries: -1, Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: q.Client == ""}}
	if q.Client != "" {
		var key struct{ Token string }
		if err := json.Unmarshal([]byte(w.admin("admin", "clients", "add", name, "--show", "--reason", "attack", "-o", "json")), &key); err != nil {
			return nil, err
		}
		_, cfg.Token, _ = strings.Cut(strings.TrimSpace(key.Token), " ")
		cfg.ClientID = q.Client
	}
	c, err := client.New(w.url, cfg)
	w.clients[name] = c
	return c, err
}

// challenged asks for a challenge for a claim.
func challenged(ctx context.Context, c *client.Client, id string, ttl uint32) (*answer, error) {
	s := submission()
	if id == "range/1" {
		s.Claim, s.Params, s.Event = claim.Range, []byte(`{"offset":0,"scale":0,"values":[{"at":"/t","hi":80,"lo":60}]}`), []byte(`{"t":70}`)
	}
	draft, err := client.NewDraft(&s, protocol.Element{})
	if err != nil {
		return nil, err
	}
	request := draft.Request()
	request.TTLMillis = ttl
	ch, err := c.Challenge(ctx, request)
	return &answer{draft: draft, ch: ch}, err
}

// proved asks for a challenge for open/1 and proves what it asks for.
func proved(ctx context.Context, c *client.Client, name string) (*answer, error) {
	a, err := challenged(ctx, c, "open/1", protocol.MaxTTL)
	if err != nil {
		return nil, err
	}
	p, err := openProver()
	if err != nil {
		return nil, err
	}
	a.proof, err = a.draft.Prove(ctx, p, a.ch, name)
	return a, err
}

// refused sends an answer with bytes that are no proof, and wants the code of a refusal.
func (w *wire) refused(from *client.Client, q *telemetry.Request, want protocol.Code) error {
	to, err := w.target(from, q)
	if err != nil {
		return err
	}
	tag, proof := to.ch.Tag, make([]byte, protocol.ProofSize)
	if q.Cause == telemetry.WrongTag {
		_, _ = rand.Read(tag[:]) // never fails
	}
	_, _ = rand.Read(proof)
	if _, err := from.Send(w.t.Context(), to.ch.RequestID, tag, proof, 0); protocol.CodeOf(err) != want {
		return fmt.Errorf("got %w, want %s", err, want.String())
	}
	return nil
}

// target returns the challenge that an answer is refused for: one that is pending, one that
// was accepted with another proof, or one whose deadline has passed.
func (w *wire) target(from *client.Client, q *telemetry.Request) (to *answer, err error) {
	ctx, place := w.t.Context(), fmt.Sprint(q.Cause, q.Client, q.Claim)
	if to := w.targets[place]; to != nil {
		return to, nil
	}
	switch q.Cause {
	case telemetry.Replayed:
		if to, err = proved(ctx, from, q.Client); err == nil {
			_, err = from.Send(ctx, to.ch.RequestID, to.ch.Tag, to.proof, time.Minute)
		}
	case telemetry.Late:
		if to, err = challenged(ctx, from, q.Claim, protocol.MinTTL); err == nil {
			<-time.After(time.Until(to.ch.ExpiresAt) + time.Millisecond)
		}
	default:
		to, err = challenged(ctx, from, q.Claim, protocol.MaxTTL)
	}
	if err != nil {
		return nil, err
	}
	w.targets[place] = to
	return to, nil
}

// answered sends a right answer, as long after its challenge as the event says.
func (w *wire) answered(from *client.Client, q *telemetry.Request, all *sync.WaitGroup) error {
	due := time.After(q.Answered)
	a, err := proved(w.t.Context(), from, q.Client)
	if err != nil {
		return err
	}
	all.Go(func() {
		<-due
		if _, err := from.Send(w.t.Context(), a.ch.RequestID, a.ch.Tag, a.proof, time.Minute); err != nil {
			w.t.Error(err)
		}
	})
	return nil
}
