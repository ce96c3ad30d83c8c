package doctor

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// signer signs every checkpoint of one log.
type signer struct {
	origin string
	key    ed25519.PrivateKey
}

func (s signer) Key() [32]byte                                   { return [32]byte(s.key.Public().(ed25519.PublicKey)) }
func (s signer) Begin(context.Context, protocol.Range) error     { return nil }
func (s signer) Extend(context.Context, []protocol.Digest) error { return nil }
func (s signer) Checkpoint(_ context.Context, size uint64, root [32]byte) ([64]byte, error) {
	text := fmt.Appendf(nil, "%s\n%d\n%s\n", s.origin, size, base64.StdEncoding.EncodeToString(root[:]))
	return [64]byte(ed25519.Sign(s.key, text)), nil
}

// running runs a service until the returned function is called.
func running(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// stopped makes the data directory of a server that has stopped: a journal of
// one leaf and its published log.
func stopped(t *testing.T) (data string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	data = t.TempDir()
	path := filepath.Join(data, "journal.db")
	j, err := journal.Open(t.Context(), journal.Config{Path: path})
	must(err)
	_, key, err := ed25519.GenerateKey(nil)
	must(err)
	s := signer{j.Origin(), key}
	stop := running(t, j.Run)
	_, err = j.Append(t.Context(), time.Now(), &protocol.EpochOpen{Number: 1, ID: protocol.EpochID{7}, SignerGrade: 1, TaggerGrade: 1, CheckpointKey: s.Key()})
	stop()
	must(errors.Join(err, j.Close()))
	view, err := journal.OpenView(t.Context(), path)
	must(err)
	l, err := ledger.Open(t.Context(), ledger.Config{Dir: filepath.Join(data, "ledger"), Origin: view.Origin(), Source: datadir.Rows{View: view}})
	must(err)
	stop = running(t, l.Run)
	l.SetSigner(s, 0)
	_, err = l.Await(t.Context(), 0)
	stop()
	must(errors.Join(err, l.Close(), view.Close()))
	return data
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string, at int, with string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[at:], with)
	write(t, path, string(b))
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestSurroundings: each fault of a data directory or a setting is seen, and
// nothing else is.
func TestSurroundings(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", "")
	server := stopped(t)
	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	nothing := func(string) {}
	for name, tt := range map[string]struct {
		harm  func(data string)
		flags map[string]string
		probe string
		want  sandbox.State
	}{
		"nothing":         {nothing, nil, "journal", sandbox.StateOK},
		"damaged journal": {func(data string) { overwrite(t, data+"/journal.db", 4096*3, strings.Repeat("x", 64)) }, nil, "journal", sandbox.StateMissing},
		"no journal but a text": {func(data string) {
			write(t, data+"/journal.db", strings.Repeat("text ", 2000))
		}, nil, "journal", sandbox.StateMissing},
		"another log configured": {nothing, map[string]string{"origin": "example.org/other"}, "journal", sandbox.StateMissing},
		"changed log": {func(data string) {
			tiles, _ := filepath.Glob(data + "/ledger/tile/0/000.p/*")
			overwrite(t, tiles[len(tiles)-1], 5, "x")
		}, nil, "ledger", sandbox.StateMissing},
		"log of another origin":   {func(data string) { write(t, data+"/ledger/origin", "other\n") }, nil, "ledger", sandbox.StateMissing},
		"log gone":                {func(data string) { _ = os.RemoveAll(data + "/ledger") }, nil, "ledger", sandbox.StateWeak},
		"port in use":             {nothing, map[string]string{"listen": busy.Addr().String()}, "listen", sandbox.StateMissing},
		"address of another host": {nothing, map[string]string{"listen": "192.0.2.1:80", "allow-insecure-listen": "true"}, "listen", sandbox.StateMissing},
		"open to others":          {func(data string) { chmod(t, data, 0o755) }, nil, "data_directory", sandbox.StateWeak},
		"no member list":          {nothing, map[string]string{"group": "/nonexistent.json"}, "member_lists", sandbox.StateMissing},
		"no certificate":          {nothing, map[string]string{"tls-cert": "/nonexistent", "tls-key": "/nonexistent"}, "tls", sandbox.StateMissing},
		"no directory yet":        {nothing, map[string]string{"data": t.TempDir() + "/a/b"}, "data_directory", sandbox.StateOK},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			if err := os.CopyFS(data, os.DirFS(server)); err != nil {
				t.Fatal(err)
			}
			chmod(t, data, 0o700)
			tt.harm(data)
			flags := map[string]string{"listen": "127.0.0.1:0", "data": data}
			maps.Copy(flags, tt.flags)
			cfg, err := config.Load(os.Environ(), flags)
			if err != nil {
				t.Fatal(err)
			}
			d := &doctor{cfg: cfg}
			d.surroundings(t.Context())
			seen := false
			for _, f := range d.findings {
				want := sandbox.StateOK
				if f.ID == tt.probe {
					want, seen = tt.want, true
				}
				// Who may enter a temporary directory, and how fast it is, depends
				// on the machine.
				if f.State != want && f.ID != "core_user" && f.ID != "disk" && f.ID != "disk_space" {
					t.Errorf("%s is %s (%s), want %s", f.ID, f.State, f.Value, want)
				}
			}
			if !seen {
				t.Errorf("%s was not looked at", tt.probe)
			}
		})
	}
}
