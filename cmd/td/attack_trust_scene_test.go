package main_test

import (
	"cmp"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
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
	ledger  string // the log at that time, as a directory
	note    string // a file with its checkpoint

	clone  string // data directory of the attacker
	mirror string // the attacker's log, as a directory
	forged string // the attacker's receipt

	// The same log behind TLS, with a user of its own.
	secure secureScene
}

// secureScene is a server on a copy of the real data, which was reached with a
// certificate of the authority. It is stopped.
type secureScene struct {
	ca                   *authority
	address, data, store string
}

// url is the real server's.
func (c *scene) url() string { return "http://" + c.address }

func newScene(t *testing.T) *scene {
	t.Helper()
	c := &scene{address: freeAddress(t), data: t.TempDir()}
	user := newVictim(t, "")
	c.store = user.store
	for _, file := range []*string{&c.early, &c.receipt} {
		b := c.serve(t)
		var got said
		if got, *file = user.submit(c.url()); got.exit != 0 {
			t.Fatalf("the real server did not accept: %s%s", got.out, got.errs)
		}
		b.stop(10 * time.Second)
	}
	c.ledger = copyOf(t, filepath.Join(c.data, "ledger"))
	c.note = filepath.Join(c.ledger, "checkpoint")
	var b *backend
	b, c.forged = extend(t, c.data, newVictim(t, ""), "")
	b.kill()
	c.clone, c.mirror = b.data, filepath.Join(b.data, "ledger")

	c.secure = secureScene{ca: newAuthority(t), address: freeAddress(t), data: copyOf(t, c.data)}
	user = newVictim(t, "", c.secure.ca.trusted())
	c.secure.store = user.store
	b = startBackend(t, c.secure.data, append([]string{"--listen", c.secure.address}, c.secure.ca.flags()...)...)
	if got, _ := user.submit(secure(c.secure.address)); got.exit != 0 {
		t.Fatalf("the server behind TLS did not accept: %s%s", got.out, got.errs)
	}
	b.stop(10 * time.Second)
	return c
}

// extend starts the attacker's server on a copy of the real data and has it
// accept something. It is reached by a URL, "" for its own.
func extend(t *testing.T, real string, attacker *victim, url string, args ...string) (b *backend, forged string) {
	t.Helper()
	data := copyOf(t, real)
	if err := os.RemoveAll(filepath.Join(data, "published")); err != nil {
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
	return startBackend(t, c.data, append([]string{"--listen", c.address, "--allow-host", plainHost}, args...)...)
}

// real is the real server, running again with an epoch of its own.
func (s *siege) real() *backend {
	s.t.Helper()
	if s.realServer == nil {
		s.realServer = s.scene.serve(s.t)
	}
	return s.realServer
}

// clone is the attacker's server, running.
func (s *siege) clone() *backend {
	s.t.Helper()
	if s.cloneServer == nil {
		s.cloneServer = startBackend(s.t, copyOf(s.t, s.scene.clone), "--allow-host", plainHost)
	}
	return s.cloneServer
}

// copyOf is a copy of a directory, without the sockets in it.
func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		target := to + strings.TrimPrefix(path, dir)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Mkdir(target, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(target, b, 0o644))
	})
	if err != nil {
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
	return newVictim(a.T, a.siege.scene.store, env...)
}
