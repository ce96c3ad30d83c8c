package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/protocol"
)

// collector is a receiver of alerts that keeps everything it is sent.
type collector struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// ServeHTTP is http.Handler.
func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&c.all, "%s %v\n%s\n", r.URL, r.Header, b)
}

func (c *collector) text() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.all.Bytes())
}

// canaries are secrets of clients that no output may hold, by what they are. Each is looked
// for as it is, as hexadecimal and as base64.
type canaries map[string][]byte

// in names the first canary that is in b, "" for none.
func (c canaries) in(b []byte, except ...string) string {
next:
	for what, secret := range c {
		for _, e := range except {
			if what == e {
				continue next
			}
		}
		forms := [][]byte{secret, []byte(hex.EncodeToString(secret))}
		for _, skip := range []int{0, 1, 2} { // wherever base64 begins
			text := base64.RawURLEncoding.EncodeToString(append(make([]byte, skip), secret...))
			text = text[4 : len(text)-3]
			forms = append(forms, []byte(text), []byte(strings.NewReplacer("-", "+", "_", "/").Replace(text)))
		}
		for _, form := range forms {
			if bytes.Contains(b, form) {
				return what
			}
		}
	}
	return ""
}

// TestThreat_Canaries: one server has every output switched on and is used in every way,
// with secrets that are easy to find. None of them, no key of the epoch and no signature is
// in its log, metrics, alerts, errors, answers to others, backup or files, and none that the
// core must never have is in its memory.
func TestThreat_Canaries(t *testing.T) {
	t.Parallel()
	ctx, data, alerts := t.Context(), t.TempDir(), &collector{}
	hook := httptest.NewServer(alerts)
	t.Cleanup(hook.Close)
	list, secrets := electorate(t)
	settings := []string{
		"--group", writeList(t, list), "--ops", "127.0.0.1:0", "--ops-pprof", "--record", filepath.Join(data, "record"),
		"--notify-allow", strings.TrimPrefix(hook.URL, "http://"), "--alert-every", "1s", "--alert-window", "2s", "--alert-keep", "1s",
	}
	b := startBackend(t, data)
	b.stop(20 * time.Second)
	_, northKey := addClient(t, data, "north", "challenge proof event")
	b = startBackend(t, data, append(settings, "--authenticate")...)
	run := func(args ...string) (stdout string) {
		t.Helper()
		code, stdout, stderr := runTD(append(args, "--data", data)...)
		if code != 0 {
			t.Fatalf("%q: exit %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	run("admin", "alerts", "sinks", "add", hook.URL+"/hook", "--show", "--reason", "test")

	// The client's secrets, and the answers to this client, which may hold its own tags.
	north := b.as(t, "north", northKey)
	epoch, err := b.Epoch(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	f := newFinder(t, epoch.PublicKey)
	pulled, pushed := []byte("CANARY-pulled-5e7c1f"), []byte("CANARY-pushed-90ab3d")
	secret := canaries{"the API key": []byte(northKey.Text()), "a pulled event": pulled, "a pushed event": pushed, "a member's secret": must(hex.DecodeString(strings.TrimSpace(string(secrets[0].Encode()))))}
	know := func(what string, a *answer) *answer {
		f.know(a.ch.Payload[:], a.ch.Tag[:])
		secret["the tag of "+what] = a.ch.Tag[:]
		return a
	}
	open := func(event []byte) client.Submission {
		return client.Submission{Claim: claim.Open, Params: []byte(`{}`), Event: fmt.Appendf(nil, `{"sealed":%q}`, event)}
	}
	accepted := know("an accepted request", north.proveAs(t, "north", open(pulled)))
	north.wantAccepted(ctx, accepted)
	rejected := know("a rejected request", north.proveAs(t, "north", open(append(pulled, '2'))))
	rejected.proof = bytes.Repeat([]byte{7}, protocol.ProofSize)
	north.wantCode(ctx, rejected, protocol.CodeProofRejected)
	pending := know("a pending request", north.proveAs(t, "north", open(append(pulled, '3'))))
	e, err := new(open(pushed)).Prepare()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := north.Push(ctx, e, 0, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	params, err := claim.GroupParams(list, "vote/1", secrets[0])
	if err != nil {
		t.Fatal(err)
	}
	member, err := claim.NewProver()
	if err == nil {
		err = member.AddList(list)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := north.Submit(ctx, member, client.Submission{Claim: claim.Group, Params: params, Event: open(pulled).Event, List: list, Secret: &secrets[0]}); err != nil {
		t.Fatal(err)
	}

	// Everything that others may see: errors, pages, metrics, profiles, administration.
	outputs := map[string][]byte{}
	token := "Bearer " + northKey.Text()
	for what, body := range map[string]string{
		"an event twice": `{"claim":"open/1","params":{},"event":{"` + string(pushed) + `":1,"` + string(pushed) + `":2}}`,
		"no JSON":        string(pushed), "an unknown claim": `{"claim":"` + string(pushed) + `","params":{},"event":{}}`,
	} {
		r := b.ask(http.MethodPost, "/v1/events", body, "Authorization", token)
		outputs["error: "+what] = fmt.Appendf(nil, "%v\n%s", r.header, r.body)
	}
	for what, r := range map[string]reply{
		"a wrong tag": b.ask(http.MethodPost, "/v1/challenges/"+pending.ch.RequestID.String()+"/proof", string(rejected.proof), "Content-Type", "application/octet-stream", "Td-Tag", accepted.ch.Tag.String(), "Authorization", token),
		"a wrong key": b.ask(http.MethodPost, "/v1/events", "{}", "Authorization", token[:len(token)-1]),
	} {
		outputs["error: "+what] = fmt.Appendf(nil, "%v\n%s", r.header, r.body)
	}
	rec := &recorder{}
	for _, path := range []string{"/v1/status", "/v1/epochs", "/v1/claims", "/checkpoint", "/", "/docs", "/v1/receipts/" + accepted.ch.RequestID.String()} {
		rec.get(t, b.url+path)
	}
	outputs["answers to others"] = rec.all.Bytes()
	for _, path := range []string{"metrics", "healthz", "readyz", "debug/pprof/goroutine?debug=2", "debug/pprof/heap?debug=1", "debug/pprof/cmdline"} {
		_, text := b.ops(path)
		outputs["ops: "+path] = []byte(text)
	}
	for range 30 { // an alert about wrong tags
		b.submit(pending.ch.RequestID, accepted.ch.Tag, rejected.proof)
	}
	run("admin", "freeze", "--issue", "--reason", "canaries")
	eventually(t, 20*time.Second, "no alert arrives", func() bool { return bytes.Contains(alerts.text(), []byte("Frozen")) })
	for _, words := range [][]string{{"admin", "status"}, {"admin", "sessions"}, {"admin", "clients"}, {"admin", "audit", "list"}, {"admin", "alerts"}, {"admin", "anomalies"}} {
		outputs["td "+strings.Join(words, " ")] = []byte(run(words...))
	}
	g := newGame(t, true, nil)
	done, err := g.administer(b).Backup(ctx, admin.BackupRequest{Reason: admin.Reason{Reason: "canaries"}, Name: "canaries"})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range dataFiles(t, done.Directory) {
		outputs["backup: "+filepath.Base(name)] = content
	}
	outputs["alerts"] = alerts.text()
	if os.Getenv("TD_ATTACKS_FULL") != "" { // half a minute; TestNoKeyGetsOut does it too
		searchMemory(t, b, f)
	}
	searchCore(t, b, secret)
	for name, content := range dataFiles(t, data) {
		outputs[name] = content
	}
	b.stop(20 * time.Second)
	for name, content := range dataFiles(t, data) {
		outputs[name+", stopped"] = content
	}
	b.mu.Lock()
	outputs["standard error"] = bytes.Clone(b.log.Bytes())
	b.mu.Unlock()

	for name, content := range outputs {
		if what := secret.in(content); what != "" {
			t.Errorf("%s holds %s", name, what)
		}
		// Keys are looked for in files once, when nothing changes them any more.
		if _, again := outputs[name+", stopped"]; again || strings.HasPrefix(name, "backup: ") {
			continue
		}
		if what := f.findText(content); what != "" {
			t.Errorf("%s holds %s", name, what)
		}
	}
	for _, must := range []string{"alerts", "standard error", "ops: metrics", "td admin audit list"} {
		if len(outputs[must]) < 100 {
			t.Errorf("%s is nearly empty: %q", must, outputs[must])
		}
	}
	t.Logf("%d outputs", len(outputs))
}

// searchCore looks into the memory of the core for what never reaches it: what a client
// pulled a request for, and a member's secret.
func searchCore(t *testing.T, b *backend, secret canaries) {
	t.Helper()
	areas, err := memoryOf(b.cmd.Process.Pid)
	if err != nil {
		t.Logf("the memory of the core cannot be read here, so it was not searched: %v", err)
		return
	}
	never := canaries{}
	for what, value := range secret {
		if what == "a pulled event" || what == "a member's secret" {
			never[what] = value
		}
	}
	for _, area := range areas {
		if what := never.in(area); what != "" {
			t.Errorf("the memory of the core holds %s", what)
		}
	}
}

// TestCanariesAreFound: a canary is found in each form in which it could get out.
func TestCanariesAreFound(t *testing.T) {
	t.Parallel()
	value := []byte("CANARY-0123456789abcdef")
	c := canaries{"it": value}
	for form, text := range map[string]string{
		"as it is": string(value), "hex": hex.EncodeToString(value), "base64": base64.StdEncoding.EncodeToString(value),
		"base64 behind one byte": base64.URLEncoding.EncodeToString(append([]byte("x"), value...)),
		"base64 behind two":      base64.RawURLEncoding.EncodeToString(append([]byte("xy"), value...)),
	} {
		if c.in([]byte("before "+text+" after")) != "it" {
			t.Errorf("%s: not found", form)
		}
	}
	if c.in([]byte("nothing")) != "" {
		t.Error("found in nothing")
	}
}
