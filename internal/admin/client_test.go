package admin_test

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// TestClientReads: each reading method returns what the server has.
func TestClientReads(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.Commander)
	key, err := c.AddClient(t.Context(), admin.AddKeyRequest{Reason: reason, Client: "north", Scopes: "challenge:open/1 proof", Expires: time.Hour.Milliseconds()})
	if err != nil {
		t.Fatal(err)
	}
	id, k, err := principal.ParseToken([]byte(key.Token))
	if err != nil || id != "north" || k.ID().String() != key.ID {
		t.Errorf("%s %v, %v", id, k.ID(), err)
	}
	who, err := w.Clients().Authenticate(k.Text(), time.UnixMilli(w.clock.Load()))
	if err != nil || who.Client != "north" {
		t.Errorf("%+v, %v", who, err)
	}
	clients, err := c.Clients(t.Context())
	if err != nil || len(clients.Clients) != 1 || clients.Clients[0].Keys[0].Scopes != "challenge:open/1 proof" || clients.Clients[0].Keys[0].Expires == nil {
		t.Errorf("%+v, %v", clients, err)
	}
	if _, err := c.RevokeKey(t.Context(), admin.RevokeKeyRequest{Reason: reason, Key: key.ID}); err != nil {
		t.Error(err)
	}
	_, err = w.Clients().Authenticate(k.Text(), time.UnixMilli(w.clock.Load()))
	want(t, "a revoked key", err, protocol.CodeUnauthenticated)

	epochs, err := c.Epochs(t.Context())
	if err != nil || len(epochs.Epochs) != 1 || epochs.Epochs[0].Phase != "ACTIVE" {
		t.Errorf("%+v, %v", epochs, err)
	}
	first, err := c.Sessions(t.Context(), admin.Filter{}, nil, 2)
	if err != nil || len(first.Sessions) != 2 || !first.More || first.Sessions[1].Prover != "server" || first.Sessions[0].Client != "local" || first.Pending != 3 {
		t.Errorf("%+v, %v", first, err)
	}
	next, err := c.Sessions(t.Context(), admin.Filter{}, &first.Sessions[1].ID, 2)
	if err != nil || len(next.Sessions) != 1 || next.More {
		t.Errorf("%+v, %v", next, err)
	}
	one, err := c.Sessions(t.Context(), admin.Filter{Prover: "client", Claim: "open/1", Epoch: &epochID, Client: "local"}, nil, 0)
	if err != nil || len(one.Sessions) != 1 || one.Sessions[0].ID != (protocol.RequestID{1}) {
		t.Errorf("%+v, %v", one, err)
	}
	rows, err := c.Audit(t.Context(), 0, 1)
	if err != nil || len(rows.Rows) != 1 || !rows.More || rows.Rows[0].Action != "clients/add" || rows.Rows[0].Target != "north" {
		t.Errorf("%+v, %v", rows, err)
	}
	if v, err := c.VerifyAudit(t.Context(), admin.VerifyRequest{Reason: reason}); err != nil || v.Rows == 0 {
		t.Errorf("%+v, %v", v, err)
	}
	if b, err := c.Backup(t.Context(), admin.BackupRequest{Reason: reason, Name: "nightly"}); err != nil || b.Size != 3 || b.Outcome != admin.OutcomeDone {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestInvalidate: a filter selects, nothing is invalidated without one or all, and the row
// names what was selected.
func TestInvalidate(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.Operator)
	for _, try := range []struct {
		r      admin.InvalidateRequest
		ended  uint64
		target string
		code   protocol.Code
	}{
		{admin.InvalidateRequest{All: true}, 3, "all", 0},
		{admin.InvalidateRequest{Filter: admin.Filter{Prover: "server"}}, 1, "prover server", 0},
		{admin.InvalidateRequest{Filter: admin.Filter{ID: &protocol.RequestID{3}, Claim: "group/1"}}, 1, "id " + protocol.RequestID{3}.String() + ", claim group/1", 0},
		{admin.InvalidateRequest{Filter: admin.Filter{Client: "local", Older: 1000}}, 3, "client local, older_ms 1000", 0},
		{admin.InvalidateRequest{}, 0, "", protocol.CodeMalformedRequest},
		{admin.InvalidateRequest{All: true, Filter: admin.Filter{Claim: "open/1"}}, 0, "", protocol.CodeMalformedRequest},
		{admin.InvalidateRequest{Filter: admin.Filter{Client: "other"}}, 0, "", protocol.CodeNotFound},
		{admin.InvalidateRequest{Filter: admin.Filter{Claim: "other"}}, 0, "", protocol.CodeNotFound},
	} {
		try.r.Reason = reason
		done, err := c.Invalidate(t.Context(), try.r)
		want(t, try.target, err, try.code)
		if row := w.lastRow(); row.Target != try.target || err == nil && done.Ended != try.ended {
			t.Errorf("%+v, %+v", row, done)
		}
	}
}

// TestClientFaults: what is not a server of this version is a fault in words, without a
// guess about what was done.
func TestClientFaults(t *testing.T) {
	t.Parallel()
	exit := func(path string, want int) {
		t.Helper()
		c, err := admin.Dial(path)
		if err == nil {
			defer c.Close()
			_, err = c.Status(t.Context())
		}
		if f := fault.Of(err); err == nil || f.Exit != want {
			t.Errorf("%v, want exit status %d", err, want)
		}
	}
	dir := t.TempDir()
	exit(filepath.Join(dir, "none"), fault.Unavailable)
	exit(filepath.Join(dir, strings.Repeat("x", admin.MaxPath)), fault.Config)
	for name, answer := range map[string]http.HandlerFunc{
		"html": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<p>"))
		},
		"teapot": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(418)
		},
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		},
		"problem": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			_, _ = w.Write([]byte("{}"))
		},
		"far": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
	} {
		path := filepath.Join(dir, name)
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: answer, ReadHeaderTimeout: time.Minute}
		go func() { _ = s.Serve(l) }()
		exit(path, fault.Unavailable)
		_ = s.Close()
	}
}
