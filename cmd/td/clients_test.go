package main_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// withJournal calls use on the journal of a server that has stopped.
func withJournal(t *testing.T, data string, use func(*journal.Journal) error) {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Config{Path: filepath.Join(data, datadir.JournalFile), MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	if err := use(j); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// addClient adds a client to a stopped server and returns its token file.
func addClient(t *testing.T, data, id, scopes string) (file string, key principal.Key) {
	t.Helper()
	s, err := principal.ParseScopes(scopes)
	if err != nil {
		t.Fatal(err)
	}
	key = principal.NewKey()
	record := principal.Record{ID: key.ID(), Digest: key.Digest(), Scopes: s}
	withJournal(t, data, func(j *journal.Journal) error {
		return j.AddClient(t.Context(), time.Now(), journal.Request{Action: "clients add", Target: id}, id, record)
	})
	file = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, key.Token(id), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, key
}

// TestClients: a real server that asks for keys serves its clients, each with what its
// key allows, and no one else; the key is neither on its disk nor in its log, nor in
// the output of a command.
func TestClients(t *testing.T) {
	t.Parallel()
	data, dir := t.TempDir(), t.TempDir()
	b := startBackend(t, data)
	b.stop(20 * time.Second)
	addToOlder(t, data)
	north, key := addClient(t, data, "north", "challenge:open/1 proof")
	south, _ := addClient(t, data, "south", "event")
	b = startBackend(t, data, "--authenticate")

	event := filepath.Join(dir, "event.json")
	if err := os.WriteFile(event, []byte(`{"lot": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	trust := filepath.Join(dir, "trust")
	run := func(exit int, says string, args ...string) {
		t.Helper()
		code, stdout, stderr := runTD(append(args, "--server", b.url)...)
		if code != exit || !strings.Contains(stderr, says) {
			t.Errorf("td %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
		}
		if strings.Contains(stdout+stderr, key.Text()) {
			t.Errorf("td %s shows the key", strings.Join(args, " "))
		}
	}
	submit := func(out string, args ...string) []string {
		return append([]string{"submit", "--claim", "open/1", "--trust", trust, "--progress", "none", "--out", filepath.Join(dir, out), event}, args...)
	}
	run(5, "--token-file names the file", submit("anonymous")...)
	run(0, "", submit("north", "--token-file", north)...)
	run(5, "does not allow", submit("push", "--push", "--token-file", north)...)
	run(0, "", submit("south", "--push", "--token-file", south)...)
	run(5, "does not allow", submit("pull", "--token-file", south)...)
	run(0, "", "claims")
	steps(t, b, dir, event, trust, north, south)

	if err := os.Chmod(north, 0o644); err != nil {
		t.Fatal(err)
	}
	run(5, "can be read by others", submit("open", "--token-file", north)...)
	other := principal.NewKey()
	if err := os.WriteFile(south, other.Token("south"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(5, "not valid", submit("wrong", "--token-file", south)...)

	b.stop(20 * time.Second)
	withJournal(t, data, func(j *journal.Journal) error {
		report, err := j.VerifyAudit(t.Context())
		if err == nil && len(report.Problems) > 0 {
			t.Errorf("%q", report.Problems)
		}
		return err
	})
	if strings.Contains(b.stderr(), "tdk_") {
		t.Error("a key is in the log")
	}
	err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(key.Text())) {
			t.Errorf("the key is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// addToOlder makes the journal of a stopped server one of the first schema and adds a
// client with --offline: the journal is converted after a backup, which is as it was.
func addToOlder(t *testing.T, data string) {
	t.Helper()
	name := filepath.Join(data, datadir.JournalFile)
	db, err := sql.Open("sqlite", name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `PRAGMA foreign_keys = 0; DROP TABLE audit; DROP TABLE keys; DROP TABLE clients;
		DROP TABLE anomalies; DELETE FROM meta WHERE name = 'audited_from'; DELETE FROM goose_db_version WHERE version_id >= 2`)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runTD("admin", "clients", "add", "early", "--offline", "--data", data, "--token-file", filepath.Join(t.TempDir(), "token"), "--reason", "a test")
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	backups, err := filepath.Glob(filepath.Join(data, datadir.BackupsDir, "schema-1-*"))
	if err != nil || len(backups) != 1 {
		t.Fatalf("backups %q, %v", backups, err)
	}
	for dir, schema := range map[string]int64{data: journal.Schema(), backups[0]: 1} {
		db, err := sql.Open("sqlite", filepath.Join(dir, datadir.JournalFile))
		if err != nil {
			t.Fatal(err)
		}
		var got int64
		if err := errors.Join(db.QueryRowContext(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&got), db.Close()); err != nil || got != schema {
			t.Errorf("schema %d, want %d, %v", got, schema, err)
		}
	}
}

// steps takes the pull flow one by one. A challenge belongs to the client that asked for
// it, on either side.
func steps(t *testing.T, b *backend, dir, event, trust, north, south string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	run := func(exit int, args ...string) string {
		t.Helper()
		code, stdout, stderr := runTD(args...)
		if code != exit {
			t.Errorf("td %s: exit %d, want %d\n%s", strings.Join(args, " "), code, exit, stderr)
		}
		return stdout
	}
	challenge := run(0, "challenge", "--server", b.url, "--claim", "open/1", "--private", in("private"), "--token-file", north, event)
	if err := os.WriteFile(in("challenge.json"), []byte(challenge), 0o600); err != nil {
		t.Fatal(err)
	}
	prove := []string{"prove", "--challenge", in("challenge.json"), "--private", in("private"), "--out", in("proof.bin")}
	run(3, prove...)
	run(3, append(prove, "--token-file", south)...)
	run(0, append(prove, "--token-file", north)...)
	send := []string{"send", "--server", b.url, "--trust", trust, "--challenge", in("challenge.json"), "--proof", in("proof.bin")}
	run(5, send...)
	run(5, append(send, "--token-file", south)...)
	got := run(0, append(send, "--token-file", north)...)
	r, err := receipt.Parse([]byte(got))
	if err != nil {
		t.Fatal(err)
	}
	var ch api.Challenge
	if err := json.Unmarshal([]byte(challenge), &ch); err != nil {
		t.Fatal(err)
	}
	again := []string{"receipt", "--server", b.url, "--trust", trust, "--token-file", north}
	fetched, err := receipt.Parse([]byte(run(0, append(again, ch.RequestID.String())...)))
	if err != nil || !bytes.Equal(fetched.Leaf, r.Leaf) {
		t.Errorf("the receipt that is fetched again has another leaf: %v", err)
	}
	run(4, append(again, "--wait", "0", protocol.RequestID{1}.String())...)
	run(2, append(again, "no id")...)
}

// TestCertificateRenewed: the real, confined server serves a certificate that has
// replaced the one of its start.
func TestCertificateRenewed(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	flags, next := ca.flags(), ca.flags()
	open := func(file string) {
		t.Helper()
		openWay(t, filepath.Dir(file))
		if err := os.Chmod(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o644); err != nil { // the server may become another user
			t.Fatal(err)
		}
	}
	for _, i := range []int{1, 3} {
		open(flags[i])
		open(next[i])
	}
	b := startBackend(t, t.TempDir(), flags...)
	served := func() *x509.Certificate {
		c, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", strings.TrimPrefix(b.url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.(*tls.Conn).ConnectionState().PeerCertificates[0]
	}
	first := served()
	for _, i := range []int{1, 3} {
		if err := os.Rename(next[i], flags[i]); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 20*time.Second, "the renewed certificate is not served", func() bool { return !served().Equal(first) })
	eventually(t, 10*time.Second, "the log does not say that it was reloaded", func() bool { return strings.Contains(b.stderr(), "certificate reloaded") })
	if strings.Contains(b.stderr(), "certificate cannot be read again") {
		t.Error("the log says something else")
	}
}

// TestListenerNeedsKeys: a listener that others could reach is refused without TLS, and
// without a client that has a key.
func TestListenerNeedsKeys(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	code, _, stderr := runTD("serve", "--data", data, "--listen", "192.0.2.1:0")
	if code != 8 || !strings.Contains(stderr, "could read the API keys of clients without TLS") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
