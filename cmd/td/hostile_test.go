package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

// canary is in everything that a hostile client sends, and in no answer.
const canary = "CANARY5b1e77"

// reply is an answer as it came over the wire.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request that no client of ours would.
func (b *backend) ask(method, path, body string, headers ...string) reply {
	b.t.Helper()
	r, err := b.try(method, path, body, headers...)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// try is ask where the server may hang up.
func (b *backend) try(method, path, body string, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.URL.Opaque = path // as it stands
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Del(headers[i]); headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, got}, err
}

// wantProblem checks everything that section 14 says about an error answer.
func (b *backend) wantProblem(what string, r reply, want protocol.Code) {
	b.t.Helper()
	var p api.Problem
	if err := json.Unmarshal(r.body, &p); err != nil {
		b.t.Errorf("%s: %d %.200s: %v", what, r.status, r.body, err)
		return
	}
	retry := r.header.Get("Retry-After")
	switch {
	case p.Code != want || p.Status != r.status || p.Type != api.ProblemType+want.String():
		b.t.Errorf("%s: %d %.300s; want %s", what, r.status, r.body, want)
	case r.header.Get("Content-Type") != api.MediaProblem || len(r.body) > api.MaxProblem:
		b.t.Errorf("%s: %d bytes of %s", what, len(r.body), r.header.Get("Content-Type"))
	case (r.status == 429 || r.status == 503) != (retry != "") || p.Retryable != (retry != ""):
		b.t.Errorf("%s: status %d, Retry-After %q, retryable %v", what, r.status, retry, p.Retryable)
	case bytes.Contains(r.body, []byte(canary)) || strings.Contains(fmt.Sprint(r.header), canary):
		b.t.Errorf("%s: the answer repeats the request: %s", what, r.body)
	}
}

// alive wants the server to issue and accept, and to have had no fault inside.
func (b *backend) alive() {
	b.t.Helper()
	b.wantAccepted(b.t.Context(), b.mustAnswer(b.t.Context()))
	for _, bad := range []string{"panic", "request failed", "code=internal"} {
		if strings.Contains(b.stderr(), bad) {
			b.t.Errorf("the log holds %q", bad)
		}
	}
}

func members(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, `,"%s%d":"%s"`, canary, i, canary)
	}
	return s.String()
}

func eventBody(claimID, params, event string) string {
	return fmt.Sprintf(`{"claim":%q,"params":%s,"event":%s}`, claimID, params, event)
}

// TestHostileRequests sends what no operation may take.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), limits...)
	const cm = `"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"`
	const oneRange = `{"offset":0,"scale":0,"values":[{"at":"/t","hi":80,"lo":60}]}`
	challenge := func(claimID, params, more string) string {
		return fmt.Sprintf(`{"claim":%q,"params":%s,"commitment":%s%s}`, claimID, params, cm, more)
	}
	unknownID := strings.Repeat("ab", 16)
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		want                     protocol.Code
	}{
		{name: "not JSON", path: "/v1/challenges", body: canary, want: protocol.CodeMalformedRequest},
		{name: "half", path: "/v1/challenges", body: `{"claim":"` + canary, want: protocol.CodeMalformedRequest},
		{name: "unknown member", path: "/v1/challenges", body: challenge("open/1", "{}", members(1)), want: protocol.CodeMalformedRequest},
		{name: "60 KB of unknown members", path: "/v1/events", body: `{"claim":"open/1"` + members(1500) + `}`, want: protocol.CodeMalformedRequest},
		{name: "60 KB of unknown members in the event's place", path: "/v1/events", body: eventBody("open/1", `{"x":1`+members(1200)+`}`, `{}`), want: protocol.CodeMalformedRequest},
		{name: "huge number", path: "/v1/challenges", body: challenge("open/1", "{}", `,"ttl_ms":`+strings.Repeat("9", 9000)), want: protocol.CodeMalformedRequest},
		{name: "huge exponent", path: "/v1/challenges", body: challenge("open/1", "{}", `,"ttl_ms":1e999999999`), want: protocol.CodeMalformedRequest},
		{name: "huge bound", path: "/v1/challenges", body: challenge("range/1", strings.Replace(oneRange, "80", "8e18", 1), ""), want: protocol.CodeMalformedRequest},
		{name: "huge scale", path: "/v1/challenges", body: challenge("range/1", strings.Replace(oneRange, `"scale":0`, `"scale":999999999`, 1), ""), want: protocol.CodeMalformedRequest},
		{name: "ttl too short", path: "/v1/challenges", body: challenge("open/1", "{}", `,"ttl_ms":999`), want: protocol.CodeMalformedRequest},
		{name: "commitment out of the field", path: "/v1/challenges", body: strings.Replace(challenge("open/1", "{}", ""), cm, `"__________________________________________8"`, 1), want: protocol.CodeMalformedRequest},
		{name: "pushed group/1", path: "/v1/events", body: eventBody("group/1", `{}`, `{}`), want: protocol.CodeMalformedRequest},
		{name: "short proof", path: "/v1/challenges/" + unknownID + "/proof", body: "x", headers: []string{"Content-Type", "application/octet-stream", api.TagHeader, protocol.Tag{}.String()}, want: protocol.CodeMalformedRequest},
		{name: "no tag", path: "/v1/challenges/" + unknownID + "/proof", body: strings.Repeat("x", protocol.ProofSize), headers: []string{"Content-Type", "application/octet-stream"}, want: protocol.CodeMalformedRequest},
		{name: "no request id", path: "/v1/challenges/" + canary + "/proof", body: "{}", want: protocol.CodeMalformedRequest},
		{name: "17 KB challenge", path: "/v1/challenges", body: challenge("open/1", "{}", members(500)), want: protocol.CodeTooLarge},
		{name: "90 KB event", path: "/v1/events", body: eventBody("open/1", "{}", `{"x":"`+strings.Repeat("y", 90<<10)+`"}`), want: protocol.CodeTooLarge},
		{name: "event as text", path: "/v1/events", body: canary, headers: []string{"Content-Type", "text/plain"}, want: protocol.CodeUnsupportedMedia},
		{name: "no media type", path: "/v1/events", body: "{}", headers: []string{"Content-Type", ""}, want: protocol.CodeUnsupportedMedia},
		{name: "compressed", path: "/v1/events", body: "{}", headers: []string{"Content-Encoding", "gzip"}, want: protocol.CodeUnsupportedMedia},
		{name: "no such path", method: "GET", path: "/" + canary, want: protocol.CodeNotFound},
		{name: "no such receipt", method: "GET", path: "/v1/receipts/" + unknownID, want: protocol.CodeNotFound},
		{name: "no such epoch", method: "GET", path: "/v1/epochs/18446744073709551615", want: protocol.CodeNotFound},
		{name: "out of the log", method: "GET", path: "/tile/../journal.db", want: protocol.CodeNotFound},
		{name: "out of the log, escaped", method: "GET", path: "/tile/%2e%2e/%2e%2e/journal.db", want: protocol.CodeNotFound},
		{name: "the log's own files", method: "GET", path: "/tile/entries/..%2f..%2forigin", want: protocol.CodeNotFound},
		{name: "wrong method", method: "DELETE", path: "/v1/challenges", want: protocol.CodeMethodNotAllowed},
		{name: "made-up method", method: canary, path: "/v1/status", want: protocol.CodeMethodNotAllowed},
		{name: "claim of tomorrow", path: "/v1/challenges", body: challenge("open/2", "{}", ""), want: protocol.CodeUnknownClaim},
		{name: "unknown claim", path: "/v1/events", body: eventBody(canary, "{}", "{}"), want: protocol.CodeUnknownClaim},
		{name: "unknown list", path: "/v1/challenges", body: challenge("group/1", `{"list":"`+strings.Repeat("00", 32)+`","name":"n","nullifier":"`+strings.Repeat("00", 32)+`","scope":"s"}`, ""), want: protocol.CodeUnknownClaim},
		{name: "repeated member", path: "/v1/events", body: eventBody("open/1", "{}", `{"`+canary+`":1,"`+canary+`":2}`), want: protocol.CodeEventNotCanonicalisable},
		{name: "inexact number", path: "/v1/events", body: eventBody("open/1", "{}", `{"n":9007199254740993}`), want: protocol.CodeEventNotCanonicalisable},
		{name: "lone surrogate", path: "/v1/events", body: eventBody("open/1", "{}", `{"n":"\ud800"}`), want: protocol.CodeEventNotCanonicalisable},
		{name: "33 deep", path: "/v1/events", body: eventBody("open/1", "{}", strings.Repeat(`{"a":`, 33)+"1"+strings.Repeat("}", 33)), want: protocol.CodeEventNotCanonicalisable},
		{name: "1025 members", path: "/v1/events", body: eventBody("open/1", "{}", `{"":0`+members(1024)+`}`), want: protocol.CodeEventNotCanonicalisable},
		{name: "field not there", path: "/v1/events", body: eventBody("range/1", oneRange, `{"`+canary+`":1}`), want: protocol.CodeEventNotEncodable},
		{name: "field not a number", path: "/v1/events", body: eventBody("range/1", oneRange, `{"t":"`+canary+`"}`), want: protocol.CodeEventNotEncodable},
		{name: "value out of its bounds", path: "/v1/events", body: eventBody("range/1", oneRange, `{"t":81}`), want: protocol.CodeStatementFalse},
	} {
		if tt.method == "" {
			tt.method = http.MethodPost
		}
		b.wantProblem(tt.name, b.ask(tt.method, tt.path, tt.body, tt.headers...), tt.want)
	}
	if n := b.epochNumber(t.Context()); n != 1 {
		t.Errorf("strangers have brought the server to epoch %d", n)
	}
	b.alive()
}

// submit hands an answer in over the bare wire.
func (b *backend) submit(id protocol.RequestID, tag protocol.Tag, proof []byte) reply {
	b.t.Helper()
	return b.ask(http.MethodPost, "/v1/challenges/"+id.String()+"/proof", string(proof), "Content-Type", "application/octet-stream", api.TagHeader, tag.String())
}

// TestHostileAnswers answers challenges in every wrong way.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	list, secrets := electorate(t)
	b := startBackend(t, t.TempDir(), with("--group", writeList(t, list))...)
	ctx := t.Context()

	// Wrong tag, tag of another request and unknown request look the same.
	one, two := b.mustAnswer(ctx), b.mustAnswer(ctx)
	wrong := one.ch.Tag
	wrong[31] ^= 1
	var unknown protocol.RequestID
	copy(unknown[:], canary)
	same := b.submit(one.ch.RequestID, wrong, one.proof)
	b.wantProblem("wrong tag", same, protocol.CodeSubmissionRejected)
	for what, r := range map[string]reply{
		"tag of another request":          b.submit(one.ch.RequestID, two.ch.Tag, one.proof),
		"unknown request":                 b.submit(unknown, one.ch.Tag, one.proof),
		"wrong tag and a malformed proof": b.submit(one.ch.RequestID, wrong, bytes.Repeat([]byte{0xff}, protocol.ProofSize)),
	} {
		r.header.Del("Date")
		same.header.Del("Date")
		if !bytes.Equal(r.body, same.body) || r.status != same.status || fmt.Sprint(r.header) != fmt.Sprint(same.header) {
			t.Errorf("%s differs from a wrong tag: %s %v", what, r.body, r.header)
		}
	}

	// None of that consumed anything; a second proof of the same statement is
	// another answer.
	first := b.wantAccepted(ctx, one)
	if again, err := b.send(ctx, one, 0); err != nil || again.Index != first.Index {
		t.Errorf("the same answer again: %v, %v", again, err)
	}
	p, err := openProver()
	if err != nil {
		t.Fatal(err)
	}
	other, err := one.draft.Prove(ctx, p, one.ch, protocol.LocalClient)
	if err != nil {
		t.Fatal(err)
	}
	b.wantProblem("another proof", b.submit(one.ch.RequestID, one.ch.Tag, other), protocol.CodeAlreadyConsumed)

	b.wantProblem("false proof", b.submit(two.ch.RequestID, two.ch.Tag, one.proof), protocol.CodeProofRejected)
	b.wantProblem("right proof after a false one", b.submit(two.ch.RequestID, two.ch.Tag, two.proof), protocol.CodeProofRejected)
	three := b.mustAnswer(ctx)
	b.wantProblem("malformed proof", b.submit(three.ch.RequestID, three.ch.Tag, bytes.Repeat([]byte{0xff}, protocol.ProofSize)), protocol.CodeProofRejected)

	sameCommitment(t, b, p)
	sameNullifier(t, b, list, secrets)
	late(t, b)
	b.alive()
}

// sameCommitment opens two requests for one commitment: both may be asked for,
// one is accepted.
func sameCommitment(t *testing.T, b *backend, p client.Prover) {
	t.Helper()
	one := b.mustAnswer(t.Context())
	ch, err := b.Challenge(t.Context(), one.draft.Request())
	if err != nil {
		t.Fatal(err)
	}
	two := &answer{draft: one.draft, ch: ch}
	if two.proof, err = two.draft.Prove(t.Context(), p, ch, protocol.LocalClient); err != nil {
		t.Fatal(err)
	}
	b.wantAccepted(t.Context(), two)
	b.wantProblem("same commitment", b.submit(one.ch.RequestID, one.ch.Tag, one.proof), protocol.CodeConflict)
}

func sameNullifier(t *testing.T, b *backend, list *claim.List, secrets []claim.MemberSecret) {
	t.Helper()
	prover, err := claim.NewProver(claim.Open)
	if err == nil {
		err = prover.AddList(list)
	}
	if err != nil {
		t.Fatal(err)
	}
	vote := func(member int, text string) error {
		params, err := claim.GroupParams(list, "vote/1", secrets[member])
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Submit(t.Context(), prover, client.Submission{
			Claim: claim.Group, Params: params, Event: fmt.Appendf(nil, `{"vote":%q}`, text), List: list, Secret: &secrets[member], Wait: -1,
		})
		return err
	}
	for i, want := range []protocol.Code{protocol.CodeNone, protocol.CodeNullifierUsed} {
		if err := vote(0, fmt.Sprint(i)); protocol.CodeOf(err) != want {
			t.Errorf("vote %d of one member: %v, want %s", i, err, want)
		}
	}
	if err := vote(1, "another"); err != nil {
		t.Errorf("the vote of another member: %v", err)
	}
}

// late answers after the deadline.
func late(t *testing.T, b *backend) {
	t.Helper()
	s := submission()
	s.TTL = time.Second
	a := b.prove(t.Context(), s)
	time.Sleep(time.Until(a.ch.ExpiresAt) + 300*time.Millisecond) // the deadline is what is tried
	b.wantProblem("late", b.submit(a.ch.RequestID, a.ch.Tag, a.proof), protocol.CodeExpired)
}

// electorate makes a list of three members.
func electorate(t *testing.T) (*claim.List, []claim.MemberSecret) {
	t.Helper()
	var secrets []claim.MemberSecret
	var members []protocol.Member
	for range 3 {
		secrets = append(secrets, claim.NewMemberSecret())
		members = append(members, secrets[len(secrets)-1].Member())
	}
	list, err := claim.NewList("hostile test", members)
	if err != nil {
		t.Fatal(err)
	}
	return list, secrets
}

func writeList(t *testing.T, list *claim.List) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.json")
	if err := os.WriteFile(path, list.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOverload fills a small server: it says so, and is free again when the
// requests have expired.
func TestOverload(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), with("--max-sessions", "4", "--prover", "none")...)
	for range 4 {
		s := submission()
		s.TTL = 2 * time.Second
		if _, err := b.challenge(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	draft, err := json.Marshal(must(client.NewDraft(new(submission()), protocol.Element{})).Request())
	if err != nil {
		t.Fatal(err)
	}
	b.wantProblem("fifth", b.ask(http.MethodPost, "/v1/challenges", string(draft)), protocol.CodeOverloaded)
	b.wantProblem("push without a prover", b.ask(http.MethodPost, "/v1/events", eventBody("open/1", "{}", `{"a":1}`)), protocol.CodeForbidden)
	// The place that is free may be the only one yet: what took it is answered, which frees it for alive.
	var first *answer
	eventually(t, 10*time.Second, "no place is free again", func() bool {
		first, err = b.challenge(t.Context(), submission())
		return err == nil
	})
	b.wantAccepted(t.Context(), b.complete(t.Context(), first))
	b.alive()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestStoppedProver: a prover that does not answer costs a push its time, and
// nothing else.
func TestStoppedProver(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), limits...)
	if _, err := b.push(t.Context(), 20*time.Second); err != nil { // it is ready
		t.Fatal(err)
	}
	pid := b.child("prover", 0)
	b.signal(pid, syscall.SIGSTOP)
	begun := time.Now()
	r := b.ask(http.MethodPost, "/v1/events", `{"claim":"open/1","params":{},"event":{"a":1},"ttl_ms":1000}`)
	b.wantProblem("stopped prover", r, protocol.CodeProverTimeout)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a request of one second took %v", took)
	}
	b.alive() // other clients do not need it
	b.signal(pid, syscall.SIGCONT)
	if p, err := b.push(t.Context(), 20*time.Second); err != nil || p.Accepted == nil {
		t.Errorf("a push afterwards: %v", err)
	}
}

// TestDraining: while keyholders exit faster than they start, the server answers
// draining, and then recovers.
func TestDraining(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), with("--death-limit", "0")...)
	draft, err := json.Marshal(must(client.NewDraft(new(submission()), protocol.Element{})).Request())
	if err != nil {
		t.Fatal(err)
	}
	waiting := b.mustAnswer(t.Context())
	pid := 0
	for range 3 {
		pid = b.child("signer", pid)
		b.signal(pid, syscall.SIGKILL)
	}
	eventually(t, 5*time.Second, "draining was never said", func() bool {
		r := b.ask(http.MethodPost, "/v1/challenges", string(draft))
		if r.status == http.StatusCreated {
			pid = b.child("signer", 0)
			b.signal(pid, syscall.SIGKILL)
			return false
		}
		if strings.Contains(string(r.body), `"invalidated"`) { // the epoch ended over this very request
			return false
		}
		b.wantProblem("between epochs", r, protocol.CodeDraining)
		return true
	})
	// The state may still show an epoch whose signer is dead; a challenge shows a living one.
	eventually(t, 10*time.Second, "no epoch is active again", func() bool {
		return b.ask(http.MethodPost, "/v1/challenges", string(draft)).status == http.StatusCreated
	})
	b.wantProblem("of an epoch that is gone", b.submit(waiting.ch.RequestID, waiting.ch.Tag, waiting.proof), protocol.CodeInvalidated)
	b.alive()
}

// TestDeathLimit: keyholders that exit too often freeze acceptance and nothing
// else. The freeze outlives a restart.
func TestDeathLimit(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	b := startBackend(t, data, with("--death-limit", "2")...)
	ctx := t.Context()
	kept := b.wantAccepted(ctx, b.mustAnswer(ctx))
	for number := range uint64(2) {
		eventually(t, 10*time.Second, "no epoch is active", func() bool { return b.epochNumber(ctx) == number+1 })
		b.signal(b.child("tagger", 0), syscall.SIGKILL)
	}
	eventually(t, 10*time.Second, "nothing is frozen", func() bool {
		s, err := b.Status(ctx)
		return err == nil && len(s.Holds) == 1 && s.Holds[0].Kind == "accept" && s.Holds[0].By == "core" && s.Holds[0].Since != nil && s.Epoch != nil
	})
	waiting := b.mustAnswer(ctx)
	b.wantProblem("frozen", b.submit(waiting.ch.RequestID, waiting.ch.Tag, waiting.proof), protocol.CodeFrozen)
	if _, err := b.Receipt(ctx, kept.RequestID, 10*time.Second); err != nil {
		t.Errorf("receipts cannot be had: %v", err)
	}
	b.stop(10 * time.Second)
	b = startBackend(t, data, limits...)
	waiting = b.mustAnswer(ctx)
	b.wantProblem("frozen before the restart", b.submit(waiting.ch.RequestID, waiting.ch.Tag, waiting.proof), protocol.CodeFrozen)
}

// TestHungKeyholder: a tagger that does not answer blocks no client. It is killed
// after its time, and the next epoch opens.
func TestHungKeyholder(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes the 10 s that a keyholder has to answer")
	}
	b := startBackend(t, t.TempDir(), limits...)
	pid := b.child("tagger", 0)
	b.signal(pid, syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
	defer cancel()
	_, err := b.challenge(ctx, submission())
	if code := protocol.CodeOf(err); code != protocol.CodeInvalidated && code != protocol.CodeDraining && code != protocol.CodeOverloaded {
		t.Errorf("a request to a hung tagger: %v", err)
	}
	eventually(t, 20*time.Second, "no epoch after the hung one", func() bool { return b.epochNumber(ctx) == 2 })
	b.alive()
}

// TestStopWithHungSigner: a stop that could not do all that it stands for does
// not end with exit code 0.
func TestStopWithHungSigner(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), limits...)
	kept := b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
	b.signal(b.child("signer", 0), syscall.SIGSTOP)
	b.signal(b.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-b.done:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not stop")
	}
	if code := b.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(b.stderr(), "not published") {
		t.Errorf("exit code %d", code)
	}
	again := startBackend(t, b.data, limits...)
	if _, err := again.Receipt(t.Context(), kept.RequestID, 10*time.Second); err != nil {
		t.Errorf("what was acknowledged has no receipt after the next start: %v", err)
	}
}

// TestFlood lets many bad clients loose at once; good ones are served all the
// while, and everything is as before when they are gone.
func TestFlood(t *testing.T) {
	t.Parallel()
	requests, silent, dribblers := 2000, 2100, 280 // more of each than may be served at once
	if testing.Short() {
		requests, silent, dribblers = 300, 100, 30
	}
	b := startBackend(t, t.TempDir(), limits...)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var bad sync.WaitGroup
	var refused atomic.Int64
	victim := b.mustAnswer(ctx)
	// The server closes idle connections to make room for new ones. A client that
	// reuses one may write into a connection that is being closed.
	var err error
	if b.Client, err = client.New(b.url, client.Config{Transport: &http.Transport{DisableKeepAlives: true}}); err != nil {
		t.Fatal(err)
	}
	for range 32 {
		bad.Go(func() { refused.Add(int64(wrongTags(ctx, b, victim, requests/32+1))) })
	}
	for range dribblers {
		bad.Go(func() {
			halfSent(ctx, b, "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{")
		})
	}
	for range 60 {
		bad.Go(func() { halfSent(ctx, b, "GET /v1/status HTTP/1.1\r\nHost: ") })
	}
	bad.Go(func() { manySilent(ctx, b, silent) })
	for range 4 {
		begun := time.Now()
		b.wantAccepted(ctx, b.mustAnswer(ctx))
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("a good client was served after %v", took)
		}
	}
	stop()
	bad.Wait()
	if n := refused.Load(); n < int64(requests)/4 {
		t.Errorf("only %d wrong answers were refused: this was no flood", n)
	}
	b.wantAccepted(t.Context(), victim) // no other client could use up the request
	b.alive()
	if n := b.epochNumber(t.Context()); n != 1 {
		t.Errorf("strangers have brought the server to epoch %d", n)
	}
	t.Logf("%d wrong answers refused", refused.Load())
}

// wrongTags hands in n answers with wrong tags over one connection and counts
// the refusals.
func wrongTags(ctx context.Context, b *backend, a *answer, n int) (refused int) {
	c, err := client.New(b.url, client.Config{Retries: -1, Transport: &http.Transport{MaxConnsPerHost: 1}})
	if err != nil {
		b.t.Error(err)
		return 0
	}
	tag := a.ch.Tag
	for i := range n {
		tag[i%32] ^= byte(1 + i%255)
		_, err := c.Send(ctx, a.ch.RequestID, tag, a.proof, 0)
		switch protocol.CodeOf(err) {
		case protocol.CodeSubmissionRejected:
			refused++
		case protocol.CodeOverloaded:
		default:
			if ctx.Err() == nil && !died(err) { // a silent crowd may push a connection out
				b.t.Errorf("a wrong tag: %v", err)
			}
		}
		tag = a.ch.Tag
		if ctx.Err() != nil {
			return refused
		}
	}
	return refused
}

// halfSent sends the beginning of a request, over and over, and waits for the
// server to lose patience.
func halfSent(ctx context.Context, b *backend, beginning string) {
	for ctx.Err() == nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(b.url, "http://"))
		if err != nil {
			continue
		}
		end := context.AfterFunc(ctx, func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, beginning)
		_, _ = io.Copy(io.Discard, conn)
		end()
		_ = conn.Close()
	}
}

// manySilent opens n connections, says nothing, and keeps them.
func manySilent(ctx context.Context, b *backend, n int) {
	for range n {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(b.url, "http://"))
		if err != nil {
			break
		}
		defer conn.Close()
	}
	<-ctx.Done()
}
