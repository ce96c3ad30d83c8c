package cosign_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/cosign"
	"github.com/terradourada/td/receipt"
)

// TestSubmit: a cosigner that has the checkpoint signs it again, one that is behind gets
// the proof that it asks for, and what is not an answer of the protocol is an error.
func TestSubmit(t *testing.T) {
	w := newWorld(t, cosign.Live)
	grow(w.log, 700)
	w.show(w.log, w.epoch, false)
	first, _ := serve(t, w.cosigner)
	answers := func(status int, kind, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	cp, err := receipt.ReadCheckpoint(w.log.Note(700, w.epoch))
	if err != nil {
		t.Fatal(err)
	}
	urls := []string{
		first,
		first + "/",
		answers(409, "text/x.tlog.size", "701\n"),
		answers(409, "text/x.tlog.size", "5\n"),
		answers(409, "text/x.tlog.size", "0\n"),
		answers(409, "text/x.tlog.size", "-1\n"),
		answers(409, "text/plain", "5\n"),
		answers(500, "text/plain", "— a b\n"),
		answers(200, "text/plain", strings.Repeat("x", 1<<16)),
		answers(302, "text/plain", ""),
		"http://127.0.0.1:1",
	}
	want := []string{"", "", "newer", "faster", "no checkpoint", "no checkpoint", "409", "500", "too large", "302", "127.0.0.1:1"}
	for i, o := range cosign.Submit(t.Context(), urls, cp, w.shown) {
		switch {
		case o.Cosigner != urls[i]:
			t.Errorf("answer %d is that of %s", i, o.Cosigner)
		case want[i] == "" && (o.Err != nil || !strings.HasPrefix(o.Lines, "— alice.example ")):
			t.Errorf("%s: %q, %v", o.Cosigner, o.Lines, o.Err)
		case want[i] != "" && (o.Err == nil || !strings.Contains(o.Err.Error(), want[i])):
			t.Errorf("%d: %q, %v, want %s", i, o.Lines, o.Err, want[i])
		}
	}
	if w.head() != head(w.log, 700, w.epoch) {
		t.Errorf("the head is of size %d", w.head().Size)
	}
}

// TestSubmitFromAnySize: proofs are right from every size, powers of two among them.
func TestSubmitFromAnySize(t *testing.T) {
	for _, from := range []uint64{2, 3, 4, 255, 256, 257, 512, 699, 700} {
		w := newWorld(t, cosign.Live)
		grow(w.log, 700)
		w.show(w.log, w.epoch, false)
		w.begin(from)
		url, _ := serve(t, w.cosigner)
		cp, err := receipt.ReadCheckpoint(w.log.Note(700, w.epoch))
		if err != nil {
			t.Fatal(err)
		}
		if o := cosign.Submit(t.Context(), []string{url}, cp, w.shown)[0]; o.Err != nil {
			t.Errorf("from %d: %v", from, o.Err)
		}
	}
}
