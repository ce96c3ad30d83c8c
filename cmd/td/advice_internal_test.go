package main

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// TestOlderLogs: a copy that is too old is missing something; a server that was set
// back is not believed, and td trust add is no way out.
func TestOlderLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	w.accept(e)
	old := w.dir(e)
	url, other := serveDir(t, old)
	back := w.fork(w.Size()).Open(nil) // opened by the server that was set back
	older := w.fork(w.Size())
	older.Add(back.Open)
	r := w.receiptFile(w.accept(e), e, e)
	w.accept(e)
	newest, store := w.dir(e), t.TempDir()
	other(newest)
	with := func(words ...string) []string { return append(words, "--trust", store) }
	td(t, 0, with("trust", "add", "--server", url), "size    5")

	const copied, set = "the copy of the log is older than the checkpoint (3 of ", "the server shows 3 leaves; this machine has recorded 5: the server runs on an older copy, or it is another server"
	td(t, fault.Unavailable, with("verify", "--log", old, r), "UNAVAILABLE", copied+"5 leaves)", "hint: get a newer copy")
	td(t, fault.Unavailable, with("log", "audit", "--progress", "none", "--dir", old), copied+"5 leaves)", "hint: get a newer copy")
	td(t, 0, with("log", "audit", "--progress", "none", "--dir", old, "--allow-self-asserted"))
	td(t, fault.Unavailable, with("trust", "add", "--log", old, "--from-operator", filepath.Join(newest, "checkpoint")), copied+"5 leaves)", "hint: get a newer copy")

	other(old)
	for _, args := range [][]string{
		with("verify", "--log", url, r),
		with("log", "audit", "--progress", "none", "--server", url),
		with("trust", "add", "--server", url),
	} {
		if out := td(t, fault.Unvouched, args, set, "hint: keep the trust store and ask the operator"); strings.Contains(out, "trust add") {
			t.Errorf("%q: the way out is td trust add\n%s", args, out)
		}
	}

	// It has gone on with another epoch, up to the same size.
	older.Add(&protocol.Incident{})
	other(older.dir(back))
	for _, args := range [][]string{with("log", "audit", "--progress", "none", "--server", url), with("trust", "add", "--server", url)} {
		out := td(t, fault.Unvouched, args, "shows another history than the one recorded", "keep the trust store and ask the operator")
		if strings.Contains(out, "anybody can sign") || strings.Contains(out, "trust add") {
			t.Errorf("%q: it blames a stranger\n%s", args, out)
		}
	}
}

// TestReceiptIsNotRecorded: what a verifier says who has recorded the log by another
// way than its server.
func TestReceiptIsNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	w.accept(e)
	store := t.TempDir()
	w.remember(store, e)
	grown := w.receiptFile(w.accept(e), e, e)
	with := func(words ...string) []string { return append(words, "--trust", store) }
	out := td(t, fault.Unvouched, with("verify", grown), "a log of this name is recorded, but not this checkpoint", "hint: --log URL or DIR can show that they belong together")
	if strings.Contains(out, "anybody could have made") {
		t.Error(out)
	}

	next := w.Open(nil) // after a restart
	r := w.receiptFile(w.accept(next), next, next)
	url, _ := serveDir(t, w.dir(next))
	out = td(t, fault.Unvouched, with("verify", "--log", url, r), "no server is bound to this log on this machine", "hint: td trust add --server "+url+" binds it")
	if strings.Contains(out, "read the log from its own server") {
		t.Error(out)
	}
	td(t, 0, with("trust", "add", "--server", url))
	td(t, 0, with("verify", "--log", url, r), "this machine has recorded this very checkpoint")
	more := w.Open(nil)
	r = w.receiptFile(w.accept(more), more, more)
	elsewhere, _ := serveDir(t, w.dir(more))
	td(t, fault.Unvouched, with("verify", "--log", elsewhere, r), "bind it to "+url, "hint: if that is right: td trust add --server "+elsewhere)
	td(t, 0, with("trust", "add", "--server", strings.Replace(elsewhere, "127.0.0.1", "localhost", 1)), "server  "+elsewhere)
}

// TestShownNow: a checkpoint that was read in this run is not said to be recorded.
func TestShownNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	w.accept(e)
	store := t.TempDir()
	url, other := serveDir(t, w.dir(e))
	td(t, 0, []string{"trust", "add", "--trust", store, "--server", url})
	next := w.Open(nil)
	r := w.receiptFile(w.accept(next), next, next)
	other(w.dir(next))
	verify := []string{"verify", "--trust", store, "--log", url, r}
	if out := td(t, 0, verify, "pinned: the log's own server shows this checkpoint now"); strings.Contains(out, "this machine has recorded") {
		t.Error(out)
	}
	w.accept(next)
	other(w.dir(next))
	td(t, 0, verify, "a proved prefix of the checkpoint that the log's own server shows now")
}

// TestMissingTiles: what cannot be read is unavailable, in audits and scans alike,
// and a scan has a line of its own.
func TestMissingTiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	r := w.receiptFile(w.accept(e), e, e)
	store, dir := t.TempDir(), w.dir(e)
	w.remember(store, e)
	td(t, 0, []string{"verify", "--trust", store, "--log", dir, "--scan", r}, "ok   scan", "3 leaves of the log were read")
	w.must(os.RemoveAll(filepath.Join(dir, "tile", "entries")))
	td(t, fault.Unavailable, []string{"log", "audit", "--progress", "none", "--trust", store, "--dir", dir}, "the log lacks its file tile/entries/000", "hint: the copy of the log is not complete")
	out := td(t, fault.Unavailable, []string{"verify", "--trust", store, "--log", dir, "--scan", r},
		"ok   inclusion", "FAIL scan", "could not be scanned: the log lacks its file tile/entries/000", "UNAVAILABLE: step scan failed", "hint: the copy of the log is not complete")
	if strings.Contains(out, "no such file") {
		t.Errorf("it shows the text of the system:\n%s", out)
	}
	url, _ := serveDir(t, dir)
	td(t, fault.Unavailable, []string{"log", "audit", "--progress", "none", "--trust", store, "--server", url}, "the log lacks its file tile/entries/000", "hint: the copy of the log is not complete")
	out = td(t, fault.Unavailable, []string{"verify", "--trust", store, "--log", strings.Replace(url, "http:", "https:", 1), "--scan", r}, "FAIL scan", "this port speaks plain HTTP: use http://")
	if strings.Contains(out, `Get "`) {
		t.Errorf("it shows the text of the library:\n%s", out)
	}
}

// TestTLSWords: a port of TLS and a certificate that is not accepted have the same
// words in every command.
func TestTLSWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	r, store := w.receiptFile(w.accept(e), e, e), t.TempDir()
	w.remember(store, e)
	w.accept(e)
	grown := w.receiptFile(2, e, e)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	plain := strings.Replace(s.URL, "https:", "http:", 1)
	event := w.file("event.json", []byte(`{"lot":1}`))
	submit := []string{"submit", "--claim", "open/1", "--progress", "none", "--out", t.TempDir(), "--trust", store}
	td(t, fault.Unavailable, []string{"log", "info", "--server", plain}, "this port speaks TLS: use "+s.URL)
	td(t, fault.Unavailable, append(submit, "--server", plain, event), "this port speaks TLS: use "+s.URL)
	td(t, fault.Unavailable, []string{"verify", "--trust", store, "--log", plain, grown}, "this port speaks TLS: use "+s.URL)
	for _, args := range [][]string{
		append(submit, "--server", s.URL, event),
		{"verify", "--trust", store, "--log", s.URL, grown},
		{"verify", "--trust", store, "--log", s.URL, "--scan", r},
		{"log", "audit", "--progress", "none", "--trust", store, "--server", s.URL},
	} {
		td(t, fault.Unavailable, args, "the certificate of "+s.URL+" is not accepted", "SSL_CERT_FILE")
	}
}

// TestDamagedTrustHints: the file is named, and td trust import only for one of
// version 1.
func TestDamagedTrustHints(t *testing.T) {
	w := newWorld(t)
	e := w.Epochs[0]
	r, store := w.receiptFile(w.accept(e), e, e), t.TempDir()
	w.remember(store, e)
	files, err := filepath.Glob(filepath.Join(store, "*.trust"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	url, _ := serveDir(t, w.dir(e))
	commands := [][]string{
		{"verify", "--trust", store, r},
		{"trust", "list", "--trust", store},
		{"trust", "add", "--trust", store, "--server", url},
		{"log", "audit", "--progress", "none", "--trust", store, "--dir", w.dir(e)},
	}
	good, err := os.ReadFile(files[0])
	w.must(err)
	w.must(os.WriteFile(files[0], append(good, "rubbish\n"...), 0o600))
	for _, args := range commands {
		if out := td(t, fault.Unavailable, args, "hint: put back a copy of "+files[0]+"; do not delete it"); strings.Contains(out, "import") {
			t.Error(out)
		}
	}
	w.must(os.WriteFile(files[0], []byte("terradourada-trust/1 "+testOrigin+"\n"), 0o600))
	for _, args := range commands {
		td(t, fault.Unavailable, args, "hint: td trust import "+files[0])
	}
	// A directory that cannot be read.
	loop := filepath.Join(t.TempDir(), "loop")
	w.must(os.Symlink(loop, loop))
	for _, args := range [][]string{{"trust", "list", "--trust", loop}, {"trust", "add", "--trust", loop, "--server", url}} {
		td(t, fault.Unavailable, args, "hint: this user must be able to read "+loop)
	}
	// One that is not there is noted.
	gone := filepath.Join(t.TempDir(), "gone")
	td(t, 0, []string{"trust", "list", "--trust", gone}, "note: the trust store "+gone+" does not exist", "no log is recorded")
	td(t, fault.Unvouched, []string{"verify", "--trust", gone, r}, "note: the trust store "+gone+" does not exist")
}

// TestOperatorCheckpoint: what mail and paper do to a checkpoint does no harm, and
// everything else has its reason.
func TestOperatorCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.Epochs[0]
	w.accept(e)
	dir := w.dir(e)
	note := w.Note(w.Size(), e)
	lines := strings.Split(note, "\n")
	replace := func(old, by string) string {
		if !strings.Contains(note, old) {
			t.Fatalf("%q is not in the checkpoint", old)
		}
		return strings.Replace(note, old, by, 1)
	}
	for name, text := range map[string]string{
		"as printed":       note,
		"CRLF":             strings.ReplaceAll(note, "\n", "\r\n"),
		"byte-order mark":  "\ufeff" + note,
		"trailing blanks":  strings.ReplaceAll(note, "\n", " \t\n"),
		"no final newline": strings.TrimSuffix(note, "\n"),
		"more newlines":    note + "\n\r\n",
		"a hyphen":         replace("— ", "- "),
		"two hyphens":      replace("— ", "-- "),
		"an en dash":       replace("— ", "– "),
	} {
		td(t, 0, []string{"trust", "add", "--trust", t.TempDir(), "--log", dir, "--from-operator", w.file(name, []byte(text))}, "how     operator", "size    3")
	}
	root := lines[2]
	for name, tt := range map[string]struct {
		text string
		exit int
		says string
	}{
		"empty":              {"", fault.Negative, "is not a checkpoint: line 1 is not the name of a log"},
		"a letter":           {"Dear auditor,\nhere it is.\n", fault.Negative, "line 1 is not the name of a log"},
		"size":               {replace("\n3\n", "\nthree\n"), fault.Negative, "line 2 is not the size of a log"},
		"root":               {replace(root, root[:20]), fault.Negative, "line 3 is not a root hash"},
		"no empty line":      {replace("\n\n", "\n"), fault.Negative, "line 4 is not empty"},
		"no signature":       {strings.Join(lines[:3], "\n") + "\n", fault.Negative, "line 4 is missing"},
		"a broken signature": {replace("— ", "— x y "), fault.Negative, "line 5 is not a signature"},
		"one more line":      {note + "Regards\n", fault.Negative, "line 6 is not a signature"},
		"another size":       {replace("\n3\n", "\n2\n"), fault.Negative, "the signature in FILE does not fit its text: compare it with the original"},
		"another root":       {replace(root, base64.StdEncoding.EncodeToString(make([]byte, 32))), fault.Negative, "does not fit its text"},
		"another log":        {strings.ReplaceAll(note, testOrigin, "terradourada/other"), fault.Negative, "is of log terradourada/other"},
		"a receipt":          {"\n{\"version\":1}", fault.Usage, "is not a checkpoint but JSON, as a receipt is"},
	} {
		file := w.file("FILE", []byte(tt.text))
		out := td(t, tt.exit, []string{"trust", "add", "--trust", t.TempDir(), "--log", dir, "--from-operator", file}, strings.ReplaceAll(tt.says, "FILE", file))
		if strings.Contains(out, "the log is malformed") {
			t.Errorf("%s: it blames the log\n%s", name, out)
		}
	}
}
