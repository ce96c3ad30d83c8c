package main_test

import (
	"cmp"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// scene is what most attacks begin with: the log of a real server with two
// epochs, a user who has submitted to it, and an attacker who runs a real server
// of their own on a copy of the log. So the attacker's log extends the real one
// by an epoch with keys of their own, in which everything is right but whose
// log it is.
type scene struct {
	address string // of the real server on loopback, which is stopped
	data    string // its data directory
	store   string // the user's trust store, which binds the log to the server
	receipt string // the user's receipt from the second epoch
	early   string // the one from the first epoch
	note    string // a file with the real log's newest checkpoint

	clone  string // data directory of the attacker
	mirror string // the attacker's log, as a directory
	forged string // the attacker's receipt
}

// url is the real server's.
func (c *scene) url() string { return "http://" + c.address }

// theScene is made once.
func (s *siege) theScene() *scene {
	s.t.Helper()
	if s.scene != nil {
		return s.scene
	}
	c := &scene{address: freeAddress(s.t), data: s.t.TempDir()}
	user := newVictim(s.t, "")
	c.store = user.store
	for _, file := range []*string{&c.early, &c.receipt} {
		b := c.serve(s.t)
		var got said
		if got, *file = user.submit(c.url()); got.exit != 0 {
			s.t.Fatalf("the real server did not accept: %s%s", got.out, got.errs)
		}
		b.stop(10 * time.Second)
	}
	c.note = filepath.Join(c.data, "ledger", "checkpoint")

	var b *backend
	b, c.forged = c.extend(s.t, newVictim(s.t, ""), "")
	b.kill()
	c.clone, c.mirror = b.data, filepath.Join(b.data, "ledger")
	s.scene = c
	return c
}

// extend starts the attacker's server on a copy of the real log as it is now,
// and has it accept something. It is reached by a URL, "" for its own.
func (c *scene) extend(t *testing.T, attacker *victim, url string, args ...string) (b *backend, forged string) {
	t.Helper()
	data := copyOf(t, c.data)
	if err := os.RemoveAll(filepath.Join(data, "trust")); err != nil {
		t.Fatal(err)
	}
	b = startBackend(t, data, args...)
	got, forged := attacker.submit(cmp.Or(url, b.url), "--allow-self-asserted")
	if got.exit != 0 {
		t.Fatalf("the attacker's server did not accept: %s%s", got.out, got.errs)
	}
	return b, forged
}

// serve starts the real server.
func (c *scene) serve(t *testing.T, args ...string) *backend {
	t.Helper()
	return startBackend(t, c.data, append([]string{"--listen", c.address}, args...)...)
}

// serveClone starts a server on a copy of the attacker's data.
func (c *scene) serveClone(t *testing.T, args ...string) *backend {
	t.Helper()
	return startBackend(t, copyOf(t, c.clone), args...)
}

// copyOf is a copy of a directory.
func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// freeAddress is an address on loopback where nothing listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// user is a user who knows the real server.
func (a *attack) user(env ...string) *victim {
	a.Helper()
	return newVictim(a.T, a.siege.theScene().store, env...)
}
