package main_test

import (
	"net"
	"time"
)

// attackServers lets servers with valid certificates show logs that are not
// theirs.
func (s *siege) attackServers() {
	s.attack("extended log by a server with another certificate", func(a *attack) {
		c, user, other := s.scene.secure, a.secureUser(), newAuthority(a.T)
		attacker := newVictim(a.T, "", other.trusted())
		_, forged := extend(a.T, c.data, attacker, secure(c.address), append([]string{"--listen", c.address}, other.flags()...)...)
		a.want(user.verify(forged, "--log", secure(c.address)), unavailable)
		a.want(user.audit("--server", secure(c.address)), unavailable)
		a.want(user.trustAdd("--server", secure(c.address)), unavailable)
		a.want(first(user.submit(secure(c.address))), unavailable)
	})
	s.attack("a bound server shows another log", func(a *attack) {
		c, ca, user := s.scene.secure, s.scene.secure.ca, a.secureUser()
		url := secure(c.address)
		stranger := newVictim(a.T, "", ca.trusted())
		startBackend(a.T, a.TempDir(), append([]string{"--listen", c.address}, ca.flags()...)...)
		got, other := stranger.submit(url) // for whom it is a server like others
		a.want(got, accepted)
		a.want(first(user.submit(url)), unvouched)
		a.want(user.verify(other, "--log", url), unvouched)
		a.want(user.audit("--server", url), unvouched)
		a.want(user.verify(s.scene.receipt, "--log", c.data+"/ledger"), "valid")
		user.boundTo(url)
	})
	s.attack("a bound server was set back and has gone on otherwise", func(a *attack) {
		c, user := s.scene.secure, a.secureUser()
		url, ledger := secure(c.address), c.data+"/ledger"
		attacker := newVictim(a.T, "", c.ca.trusted())
		_, forged := extend(a.T, s.scene.clone, attacker, url, append([]string{"--listen", c.address}, c.ca.flags()...)...)
		a.want(first(user.submit(url)), unvouched)
		a.want(user.verify(forged, "--log", url), unvouched)
		a.want(user.verify(forged, "--log", url, "--allow-self-asserted"), unvouched)
		a.want(user.audit("--server", url), unvouched)
		a.want(user.trustAdd("--server", url), unvouched)
		a.want(user.verify(s.scene.receipt, "--log", ledger), "valid")
		a.want(user.audit("--dir", ledger), "valid")
	})
	s.attack("another server shows the bound log, extended", func(a *attack) {
		user, address := a.secureUser(), freeAddress(a.T)
		forged := a.extendSecure(address)
		a.want(first(user.submit(secure(address))), unvouched)
		a.want(user.verify(forged, "--log", secure(address)), unvouched)
		a.want(user.audit("--server", secure(address)), unvouched)
		// The name in the URL is all that differs.
		_, port, err := net.SplitHostPort(address)
		a.must(err)
		for _, spelt := range []string{"https://LOCALHOST:" + port, "https://localhost:" + port + "/", "https://localhost:" + port + "/./"} {
			a.want(user.verify(forged, "--log", spelt), unvouched, unavailable)
		}
		user.boundTo(secure(s.scene.secure.address))
	})
	s.attack("a log that only the operator vouched for, extended by a server", func(a *attack) {
		user, address := newVictim(a.T, "", s.scene.secure.ca.trusted()), freeAddress(a.T)
		ledger := s.scene.secure.data + "/ledger"
		a.want(user.trustAdd("--from-operator", ledger+"/checkpoint", "--log", ledger), accepted)
		forged := a.extendSecure(address)
		a.want(first(user.submit(secure(address))), unvouched)
		a.want(user.verify(forged, "--log", secure(address)), unvouched)
		a.want(user.audit("--server", secure(address)), unvouched)
		user.boundTo("")
	})
}

// secureUser is a user of the server behind TLS.
func (a *attack) secureUser() *victim {
	a.Helper()
	return newVictim(a.T, a.siege.scene.secure.store, a.siege.scene.secure.ca.trusted())
}

// extendSecure is [extend] at an address, with a certificate of the authority.
func (a *attack) extendSecure(address string) (forged string) {
	a.Helper()
	c := a.siege.scene.secure
	_, forged = extend(a.T, c.data, newVictim(a.T, "", c.ca.trusted()), secure(address), append([]string{"--listen", address}, c.ca.flags()...)...)
	return forged
}

// attackStaleNames uses the name that a log's server had before it moved.
func (s *siege) attackStaleNames() {
	s.attack("the old name of a server that has moved", func(a *attack) {
		c, user, moved := s.scene.secure, a.secureUser(), freeAddress(a.T)
		old, data := secure(c.address), copyOf(a.T, c.data)
		b := startBackend(a.T, data, append([]string{"--listen", moved}, c.ca.flags()...)...)
		a.want(user.trustAdd("--server", secure(moved)), accepted)
		b.stop(10 * time.Second)
		user.boundTo(secure(moved))
		// The attacker has the old name now, with a certificate for it.
		attacker := newVictim(a.T, "", c.ca.trusted())
		_, forged := extend(a.T, data, attacker, old, append([]string{"--listen", c.address}, c.ca.flags()...)...)
		a.want(user.verify(forged, "--log", old), unvouched)
		a.want(first(user.submit(old)), unvouched)
		a.want(user.audit("--server", old), unvouched)
		user.boundTo(secure(moved))
	})
	s.attack("a damaged file of a server's own log lets it show another", func(a *attack) {
		c, user := s.scene.secure, a.secureUser()
		a.flip(user.trustFile(), 3)
		startBackend(a.T, a.TempDir(), append([]string{"--listen", c.address}, c.ca.flags()...)...)
		before := user.files()
		a.want(first(user.submit(secure(c.address))), unavailable)
		a.want(user.trustAdd("--server", secure(c.address)), unavailable)
		if user.files() != before {
			a.Error("something was recorded beside a damaged file")
		}
	})
}
