package main_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/receipt"
)

// attackExtensions offers a real log that was extended by an epoch of the
// attacker's own.
func (s *siege) attackExtensions() {
	s.attack("extended log as a mirror directory to td verify", func(a *attack) {
		c := s.scene
		a.want(a.user().verify(c.forged, "--log", c.mirror), unvouched)
		a.want(a.user().verify(c.forged), unvouched)
		a.want(a.user().verify(c.forged, "--log", c.mirror, "--scan", "--strict"), unvouched)
		// The attacker's mirror still proves what is true.
		a.want(a.user().verify(c.receipt, "--log", c.mirror), "valid")
	})
	s.attack("extended log to td log audit --dir", func(a *attack) {
		c := s.scene
		got := a.want(a.user().audit("--dir", c.mirror), unvouched)
		if len(got.report.Faults) > 0 {
			a.Errorf("the forgery has faults, so that something else than identity refused it: %q", got.report.Faults)
		}
		a.want(a.user().audit("--dir", c.ledger), "valid")
	})
	s.attack("extended log over plain HTTP", func(a *attack) {
		c := s.scene
		user := a.user(onTheWay(s.clone().url)...)
		a.want(user.verify(c.forged, "--log", plainURL), unvouched)
		a.want(user.audit("--server", plainURL), unvouched)
		a.want(user.trustAdd("--server", plainURL), unvouched)
		got, file := user.submit(plainURL)
		if a.want(got, unvouched); file != "" || !got.says("nothing was sent") {
			a.Errorf("it was sent: %s%s", got.out, got.errs)
		}
	})
	s.attack("extended log by another user on the server's port", func(a *attack) {
		c := s.scene
		a.stranger(c.address, s.clone().url)
		user := a.user()
		a.want(user.verify(c.forged, "--log", c.url()), unvouched)
		a.want(user.audit("--server", c.url()), unvouched)
		a.want(user.trustAdd("--server", c.url()), unvouched)
		got, file := user.submit(c.url())
		if a.want(got, unvouched); file != "" {
			a.Error("a receipt was taken")
		}
		got, file = user.submit(c.url(), "--push")
		if a.want(got, unvouched); file != "" {
			a.Error("a receipt was taken")
		}
		got, file = newVictim(a.T, "").submit(c.url()) // who knows no log yet
		if a.want(got, unvouched); file != "" {
			a.Error("a receipt was taken")
		}
	})
}

func first[A, B any](a A, _ B) A { return a }

// attackRecords gets the victim to record the attacker's log first, and wants
// the real server to be refused later, or the forgery to be believed.
func (s *siege) attackRecords() {
	s.attack("attacker's log recorded first with --allow-self-asserted", func(a *attack) {
		c := s.scene
		clone := s.clone()
		for _, known := range []string{c.store, ""} {
			user := newVictim(a.T, known, onTheWay(clone.url)...)
			got, forged := user.submit(plainURL, "--allow-self-asserted")
			if a.want(got, accepted); forged == "" {
				a.Fatalf("no receipt: %s%s", got.out, got.errs)
			}
			a.want(user.verify(forged), unvouched)
			a.want(user.verify(forged, "--log", plainURL), unvouched)
			a.want(user.verify(forged, "--log", filepath.Join(clone.data, "ledger")), unvouched)
			s.real()
			got, genuine := user.submit(c.url())
			a.want(got, accepted)
			a.want(user.verify(genuine), "valid")
			a.want(user.verify(c.receipt, "--log", c.url()), "valid")
			a.want(user.verify(forged, "--log", c.url()), unvouched, unavailable)
			user.boundTo(c.url())
		}
	})
	s.attack("attacker's log recorded first with td trust import", func(a *attack) {
		c := s.scene
		old := a.version1(c.mirror)
		for _, known := range []string{c.store, ""} {
			user := newVictim(a.T, known)
			a.want(user.td(2, "trust", "import", "--trust", user.store, old), accepted)
			a.want(user.verify(c.forged, "--log", c.mirror), unvouched)
			s.real()
			got, genuine := user.submit(c.url())
			a.want(got, accepted)
			a.want(user.verify(genuine), "valid")
			user.boundTo(c.url())
		}
	})
	s.attack("thousands of records of the attacker's", func(a *attack) {
		c, f := s.scene, forgeOf(a.T, s.scene.ledger)
		by := f.epoch()
		text := "terradourada-trust/1 " + f.origin + "\n"
		for size := range 3000 {
			root := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(size)}, 32))
			signed := fmt.Sprintf("%s\n%d\n%s\n", f.origin, size+1, root)
			line := strings.Fields(f.line(by.open.CheckpointKey, ed25519.Sign(by.key, []byte(signed))))
			text += fmt.Sprintf("%d %s %s %s 1700000000\n", size+1, root, base64.StdEncoding.EncodeToString(by.open.CheckpointKey[:]), line[2])
		}
		user := a.user()
		a.want(user.td(2, "trust", "import", "--trust", user.store, f.save("old.trust", text)), accepted)
		a.want(user.verify(c.receipt), "valid")
		a.want(user.verify(c.early), "valid")
		a.want(user.verify(c.forged, "--log", c.mirror), unvouched)
		s.real()
		a.want(first(user.submit(c.url())), accepted)
		user.boundTo(c.url())
		if n := strings.Count(user.files(), "unauthenticated"); n > receipt.MaxUnauthenticated {
			a.Errorf("%d unauthenticated records are kept", n)
		}
	})
	s.attack("a trust file of version 2 given to td trust import", func(a *attack) {
		c, user := s.scene, a.user()
		b := s.clone()
		attacker := newVictim(a.T, "")
		a.want(first(attacker.submit(b.url)), accepted) // "live", in the attacker's own store
		a.want(user.td(2, "trust", "import", "--trust", user.store, attacker.trustFile()), unavailable)
		a.want(user.verify(c.forged, "--log", c.mirror), unvouched)
		user.boundTo(c.url())
	})
	s.attack("a proxy of the real log becomes its server", func(a *attack) {
		c := s.scene
		user := a.user(onTheWay(s.real().url)...)
		got, genuine := user.submit(plainURL, "--allow-self-asserted")
		if a.want(got, accepted); genuine == "" {
			a.Fatalf("no receipt: %s%s", got.out, got.errs)
		}
		user.boundTo(c.url())
		a.want(user.verify(c.receipt), "valid")
	})
}

// version1 is a trust file as the version before wrote it, with the newest
// checkpoint of a log.
func (a *attack) version1(dir string) string {
	a.Helper()
	cp, err := client.NewLogDir(dir).SignedCheckpoint(a.Context())
	a.must(err)
	lines := strings.Split(strings.TrimSpace(cp.Note), "\n")
	signature := strings.Fields(lines[len(lines)-1])
	record := fmt.Sprintf("%s %s %s %s 1700000000\n", lines[1], lines[2], base64.StdEncoding.EncodeToString(cp.Key[:]), signature[len(signature)-1])
	file := filepath.Join(a.TempDir(), "old.trust")
	a.must(os.WriteFile(file, []byte("terradourada-trust/1 "+cp.Origin+"\n"+record), 0o600))
	return file
}
