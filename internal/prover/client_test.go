package prover_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/protocol"
)

// hostile serves every request with h.
func hostile(t *testing.T, h http.HandlerFunc) *prover.Client {
	t.Helper()
	ln, dial := listen(t)
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	c := prover.NewClient(dial, 2)
	t.Cleanup(c.Close)
	return c
}

// say answers with this status, kind and body.
func say(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

var (
	someProof = protocol.EncodeBase64(make([]byte, protocol.ProofSize))
	someTag   = protocol.EncodeBase64(make([]byte, 32))
	someGood  = `{"proof":"` + someProof + `","tag":"` + someTag + `"}`
)

const kind = "application/json"

func TestHostileProvers(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    protocol.Code
	}{
		"garbage":           {say(200, kind, "garbage"), protocol.CodeProverBadResponse},
		"nothing":           {say(200, kind, ""), protocol.CodeProverBadResponse},
		"no members":        {say(200, kind, "{}"), protocol.CodeProverBadResponse},
		"another kind":      {say(200, "text/html", someGood), protocol.CodeProverBadResponse},
		"no kind":           {say(200, "", someGood), protocol.CodeProverBadResponse},
		"unknown member":    {say(200, kind, `{"x":1,`+someGood[1:]), protocol.CodeProverBadResponse},
		"member twice":      {say(200, kind, `{"tag":"`+someTag+`",`+someGood[1:]), protocol.CodeProverBadResponse},
		"trailing data":     {say(200, kind, someGood+" 1"), protocol.CodeProverBadResponse},
		"short proof":       {say(200, kind, `{"proof":"AAAA","tag":"`+someTag+`"}`), protocol.CodeProverBadResponse},
		"long proof":        {say(200, kind, `{"proof":"`+someProof+`AAAA","tag":"`+someTag+`"}`), protocol.CodeProverBadResponse},
		"no tag":            {say(200, kind, `{"proof":"`+someProof+`"}`), protocol.CodeProverBadResponse},
		"short tag":         {say(200, kind, `{"proof":"`+someProof+`","tag":"AAAA"}`), protocol.CodeProverBadResponse},
		"huge body":         {say(200, kind, someGood+strings.Repeat(" ", 1<<20)), protocol.CodeProverBadResponse},
		"endless body":      {endless, protocol.CodeProverBadResponse},
		"huge header":       {hugeHeader, protocol.CodeProverBadResponse},
		"redirect":          {redirect, protocol.CodeProverBadResponse},
		"no content":        {say(204, kind, ""), protocol.CodeProverBadResponse},
		"accepted":          {say(202, kind, someGood), protocol.CodeProverBadResponse},
		"internal":          {say(500, kind, `{"code":"internal","detail":"x"}`), protocol.CodeProverBadResponse},
		"false statement":   {say(422, kind, `{"code":"statement_false","detail":"x"}`), protocol.CodeProverBadResponse},
		"freezes":           {say(503, kind, `{"code":"frozen","detail":"x"}`), protocol.CodeOverloaded},
		"overloaded":        {say(503, kind, ""), protocol.CodeOverloaded},
		"late by its clock": {say(504, kind, ""), protocol.CodeProverTimeout},
		"disconnects":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, protocol.CodeProverBadResponse},
		"half an answer":    {half, protocol.CodeProverBadResponse},
		"not HTTP":          {notHTTP, protocol.CodeProverBadResponse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSample(t, claim.Open, 20*time.Second)
			_, err := hostile(t, tt.handler).Prove(t.Context(), &s.Job)
			wantCode(t, err, tt.want)
			if d := protocol.DetailOf(err); d == "" || strings.Contains(d, "x") && strings.Contains(d, "detail") {
				t.Errorf("detail %q", d)
			}
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", kind)
	for r.Context().Err() == nil {
		if _, err := fmt.Fprint(w, strings.Repeat(" ", 4096)); err != nil {
			return
		}
	}
}

func hugeHeader(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X", strings.Repeat("x", 1<<20))
	_, _ = fmt.Fprint(w, someGood)
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusTemporaryRedirect)
}

func half(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", "1000")
	_, _ = fmt.Fprint(w, someGood[:500])
}

func notHTTP(w http.ResponseWriter, _ *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = rw.WriteString("220 ready\r\n")
	_ = rw.Flush()
	_ = c.Close()
}

// What has the form of an answer is passed on: the tag is for the gate to
// compare and the proof for it to verify.
func TestWrongTagIsTheGatesBusiness(t *testing.T) {
	s := newSample(t, claim.Open, 20*time.Second)
	a, err := hostile(t, say(200, kind+"; charset=utf-8", someGood)).Prove(t.Context(), &s.Job)
	if err != nil || len(a.Proof) != protocol.ProofSize || a.Tag.Equal(s.Tag) {
		t.Errorf("%d bytes, %v", len(a.Proof), err)
	}
}

func TestSlowProver(t *testing.T) {
	release := make(chan struct{})
	slow := hostile(t, func(w http.ResponseWriter, r *http.Request) { <-release; say(200, kind, someGood)(w, r) })
	t.Cleanup(func() { close(release) })
	s := newSample(t, claim.Open, 100*time.Millisecond)
	_, err := slow.Prove(t.Context(), &s.Job)
	wantCode(t, err, protocol.CodeProverTimeout)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cause: %v", err)
	}
	s = newSample(t, claim.Open, -time.Second)
	_, err = slow.Prove(t.Context(), &s.Job)
	wantCode(t, err, protocol.CodeProverTimeout)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s = newSample(t, claim.Open, time.Minute)
	_, err = slow.Prove(ctx, &s.Job)
	wantCode(t, err, protocol.CodeProverTimeout)
}

// An answer that drips in is cut off at the deadline.
func TestDrippingProver(t *testing.T) {
	drip := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		for i := range someGood {
			_, _ = fmt.Fprint(w, someGood[i:i+1])
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	s := newSample(t, claim.Open, 200*time.Millisecond)
	_, err := drip.Prove(t.Context(), &s.Job)
	wantCode(t, err, protocol.CodeProverTimeout)
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte(someGood))
	f.Add([]byte(`{"proof":"","tag":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := prover.DecodeAnswer(b)
		if err != nil && protocol.CodeOf(err) != protocol.CodeProverBadResponse {
			t.Errorf("%q: %v", b, err)
		}
		if err == nil && len(a.Proof) != protocol.ProofSize {
			t.Errorf("%q: proof of %d bytes", b, len(a.Proof))
		}
	})
}
