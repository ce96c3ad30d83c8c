package main_test

import (
	"net"
	"testing"
	"time"
)

// attackServers lets servers with valid certificates show logs that are not
// theirs.
func (s *siege) attackServers() {
	s.attack("a bound server shows another log", func(a *attack) {
		c, ca := s.theScene(), newAuthority(a.T)
		user, url, address := a.secureUser(ca)
		stranger := newVictim(a.T, "", ca.trusted())
		startBackend(a.T, a.TempDir(), append([]string{"--listen", address}, ca.flags()...)...)
		got, other := stranger.submit(url) // for whom it is a server like others
		a.want(got, accepted)
		a.want(first(user.submit(url)), unvouched)
		a.want(user.verify(other, "--log", url), unvouched)
		a.want(user.audit("--server", url), unvouched)
		a.want(user.verify(c.receipt), "valid")
		user.boundTo(url)
	})
	s.attack("another server shows the bound log, extended", func(a *attack) {
		c, ca := s.theScene(), newAuthority(a.T)
		user, url, _ := a.secureUser(ca)
		address := freeAddress(a.T)
		forged := c.extendSecure(a.T, ca, address)
		a.want(first(user.submit(secure(address))), unvouched)
		a.want(user.verify(forged, "--log", secure(address)), unvouched)
		a.want(user.audit("--server", secure(address)), unvouched)
		// The name in the URL is all that differs.
		_, port, err := net.SplitHostPort(address)
		a.must(err)
		for _, spelt := range []string{"https://LOCALHOST:" + port, "https://localhost:" + port + "/", "https://localhost:" + port + "/./"} {
			a.want(user.verify(forged, "--log", spelt), unvouched, unavailable)
		}
		user.boundTo(url)
	})
	s.attack("a log that only the operator vouched for, extended by a server", func(a *attack) {
		c, ca := s.theScene(), newAuthority(a.T)
		user := newVictim(a.T, "", ca.trusted())
		a.want(user.trustAdd("--from-operator", c.note, "--log", c.data+"/ledger"), accepted)
		address := freeAddress(a.T)
		forged := c.extendSecure(a.T, ca, address)
		a.want(first(user.submit(secure(address))), unvouched)
		a.want(user.verify(forged, "--log", secure(address)), unvouched)
		a.want(user.audit("--server", secure(address)), unvouched)
		user.boundTo("")
	})
}

// secureUser is a user of the real server over TLS, which is stopped then.
func (a *attack) secureUser(ca *authority) (user *victim, url, address string) {
	a.Helper()
	address = freeAddress(a.T)
	user = newVictim(a.T, "", ca.trusted())
	b := a.siege.theScene().serve(a.T, append([]string{"--listen", address}, ca.flags()...)...)
	a.want(first(user.submit(secure(address))), accepted)
	b.stop(10 * time.Second)
	return user, secure(address), address
}

// extendSecure is [scene.extend] at an address, with a certificate.
func (c *scene) extendSecure(t *testing.T, ca *authority, address string) (forged string) {
	t.Helper()
	_, forged = c.extend(t, newVictim(t, "", ca.trusted()), secure(address), append([]string{"--listen", address}, ca.flags()...)...)
	return forged
}

// attackStaleNames uses the name that a log's server had before it moved.
func (s *siege) attackStaleNames() {
	s.attack("the old name of a server that has moved", func(a *attack) {
		c, ca := s.theScene(), newAuthority(a.T)
		user, old, address := a.secureUser(ca)
		moved := freeAddress(a.T)
		b := c.serve(a.T, append([]string{"--listen", moved}, ca.flags()...)...)
		a.want(user.trustAdd("--server", secure(moved)), accepted)
		b.stop(10 * time.Second)
		user.boundTo(secure(moved))
		// The attacker has the old name now, with a certificate for it.
		forged := c.extendSecure(a.T, ca, address)
		a.want(user.verify(forged, "--log", old), unvouched)
		a.want(first(user.submit(old)), unvouched)
		a.want(user.audit("--server", old), unvouched)
		user.boundTo(secure(moved))
	})
	s.attack("a damaged file of a server's own log lets it show another", func(a *attack) {
		ca := newAuthority(a.T)
		user, url, address := a.secureUser(ca)
		a.flip(user.trustFile(), 3)
		startBackend(a.T, a.TempDir(), append([]string{"--listen", address}, ca.flags()...)...)
		before := user.files()
		a.want(first(user.submit(url)), unavailable)
		a.want(user.trustAdd("--server", url), unavailable)
		if user.files() != before {
			a.Error("something was recorded beside a damaged file")
		}
	})
}
