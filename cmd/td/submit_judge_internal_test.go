package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/receipt"
)

// dishonest is a server that accepts everything and may show any log.
type dishonest struct {
	*world
	by      *logtest.Epoch
	dir     string
	change  func(*receipt.Receipt)
	handler http.Handler

	asked    *api.Challenge
	receipts map[string][]byte
}

// newDishonest serves a log; to lie is to change its fields between two runs.
func newDishonest(t *testing.T, w *world) (*dishonest, string) {
	t.Helper()
	l := &dishonest{world: w, by: w.Epochs[0], dir: t.TempDir(), receipts: map[string][]byte{}}
	mux := http.NewServeMux()
	l.handler = mux
	mux.HandleFunc("POST /v1/challenges", l.open)
	mux.HandleFunc("POST /v1/challenges/{id}/proof", l.accept)
	mux.HandleFunc("GET /v1/receipts/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", api.MediaReceipt)
		w.Write(l.receipts[r.PathValue("id")])
	})
	mux.HandleFunc("GET /checkpoint", func(w http.ResponseWriter, r *http.Request) { l.file(w, r, api.MediaText) })
	mux.HandleFunc("GET /tile/", func(w http.ResponseWriter, r *http.Request) { l.file(w, r, api.MediaOctets) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return l, s.URL
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", api.MediaJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (l *dishonest) open(w http.ResponseWriter, r *http.Request) {
	var req api.ChallengeRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		l.t.Error(err)
	}
	l.asked = l.challenge(l.by, req.Commitment)
	answer(w, http.StatusCreated, l.asked)
}

func (l *dishonest) accept(w http.ResponseWriter, r *http.Request) {
	proof, err := io.ReadAll(r.Body)
	if err != nil {
		l.t.Error(err)
	}
	index := l.accepted(l.by, l.asked, proof)
	got := l.receipt(index, l.by, l.by)
	if l.change != nil {
		l.change(got)
	}
	raw, err := got.Encode()
	if err != nil {
		l.t.Error(err)
	}
	l.receipts[l.asked.RequestID.String()] = raw
	l.Write(l.dir, l.by)
	answer(w, http.StatusCreated, api.Accepted{RequestID: l.asked.RequestID, Index: index})
}

func (l *dishonest) file(w http.ResponseWriter, r *http.Request, media string) {
	l.Write(l.dir, l.by)
	b, err := os.ReadFile(filepath.Join(l.dir, filepath.FromSlash(r.URL.Path)))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", media)
	w.Write(b)
}

// TestSubmitJudges: td submit writes receipts that verify later, and keeps all
// others apart with the verdict's exit code.
func TestSubmitJudges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	w.accept(e)
	fork := w.fork(2)
	fork.accept(e)
	other := newWorld(t)
	l, url := newDishonest(t, w)
	store := t.TempDir()
	events := 0
	submit := func(exit int, args []string, texts ...string) (out string) {
		t.Helper()
		events++
		out = t.TempDir()
		event := w.file("event.json", []byte(strings.Repeat(" ", events)+`{"lot":1}`))
		td(t, exit, append([]string{"submit", "--claim", "open/1", "--progress", "none", "--trust", store, "--server", url, "--out", out, event}, args...), texts...)
		return out
	}
	files := func(dir, pattern string, want int) string {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) != want {
			t.Fatalf("%d files %s, want %d: %v", len(names), pattern, want, err)
		}
		return strings.Join(names, "")
	}

	out := submit(fault.OK, nil, "log "+testOrigin+": checkpoints recorded")
	td(t, fault.OK, []string{"verify", "--trust", store, files(out, "*.receipt.json", 1)}, "valid, in the log of "+url)

	l.change = func(r *receipt.Receipt) { r.Signer.Log = strings.Replace(r.Signer.Log, "index", "indez", 1) }
	out = submit(fault.Negative, nil, "the receipt is invalid", remote.DoNotRely)
	files(out, "*.refused.json", 1)
	files(out, "*.receipt.json", 0)
	submit(fault.Negative, []string{"--allow-self-asserted"}, "the receipt is invalid")

	// The receipt of another request is shown with both ids, and an own difference is not.
	var first receipt.Receipt
	l.change = func(r *receipt.Receipt) { first = *r }
	submit(fault.OK, nil)
	of := l.asked.RequestID.String()
	l.change = func(r *receipt.Receipt) { *r = first }
	submit(fault.Negative, nil, "its request id differs: asked for ", ", came back "+of, remote.DoNotRely)
	l.change = nil

	// Two histories under one key.
	l.world = fork
	for fork.Size() < w.Size() {
		fork.accept(e)
	}
	l.dir = t.TempDir()
	out = submit(fault.Contradicted, nil, "the server is contradicted", "nothing was sent")
	files(out, "*.json", 0)
	submit(fault.Contradicted, []string{"--allow-self-asserted"}, "the server is contradicted")

	// Another log of the same origin, under a key that nothing ties to it.
	l.world, l.by, l.dir = other, other.Epochs[0], t.TempDir()
	out = submit(fault.Unvouched, nil, "the server is unvouched", "ask the operator")
	files(out, "*.json", 0)
}

// TestSubmitUnvouched: with --allow-self-asserted the receipts are written, the
// summary says what they are worth, and td verify says so too.
func TestSubmitUnvouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l, url := newDishonest(t, w)
	store := t.TempDir()
	event := w.file("event.json", []byte(`{"lot":1}`))
	submit := func(exit int, server string, args ...string) []string {
		t.Helper()
		out := t.TempDir()
		td(t, exit, append([]string{"submit", "--claim", "open/1", "--progress", "none", "--trust", store, "--server", server, "--out", out, event}, args...))
		names, err := filepath.Glob(filepath.Join(out, "*.receipt.json"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if names := submit(fault.OK, url); len(names) != 1 {
		t.Fatalf("%d receipts", len(names))
	}
	// The server goes on under a key of its own choosing, at an address that is
	// bound to nothing.
	l.by = w.Open(nil)
	again := httptest.NewServer(l.handler)
	t.Cleanup(again.Close)
	elsewhere := again.URL
	if names := submit(fault.Unvouched, elsewhere); len(names) != 0 {
		t.Errorf("%d receipts of an unvouched server", len(names))
	}
	names := submit(fault.OK, elsewhere, "--allow-self-asserted")
	if len(names) != 1 {
		t.Fatalf("%d receipts", len(names))
	}
	td(t, fault.Unvouched, []string{"verify", "--trust", store, names[0]}, "UNVOUCHED: step identity failed")
	td(t, fault.OK, []string{"verify", "--trust", store, "--allow-self-asserted", names[0]}, "nothing but the receipt says so")
	td(t, fault.OK, []string{"verify", "--trust", store, "--log", url, names[0]}, "valid, in the log of "+url)
}
