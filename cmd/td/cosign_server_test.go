package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/testdata/logtest"
)

// get returns what a server answers, which has to be 200.
func get(t *testing.T, url string) []byte {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return b
}

// save writes a file that lasts as long as the test.
func save(t *testing.T, content []byte) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// signedBy reports whether the checkpoint of a log directory has both lines of a cosigner.
func signedBy(t *testing.T, data, name string) bool {
	t.Helper()
	note, err := os.ReadFile(filepath.Join(data, "ledger", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	return hasBoth(note, name)
}

func hasBoth(note []byte, name string) bool {
	return strings.Count(string(note), "\u2014 "+name+" ") == 2
}

// TestServerSubmits: a server submits by itself. With one cosigner stopped, one lying and
// one behind, it accepts as before, and the signatures of the others arrive on the served
// checkpoint. An auditor with nothing but the policy file then believes a receipt.
func TestServerSubmits(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers and cosigners")
	}
	t.Parallel()
	address, data := freeAddress(t), t.TempDir()
	user := newVictim(t, "")
	b := startBackend(t, data, "--listen", address)
	server := "http://" + address
	accept := func() (receipt string) {
		t.Helper()
		s, receipt := user.submit(server)
		if s.exit != 0 {
			t.Fatalf("not accepted: %s", s.errs)
		}
		return receipt
	}
	early := accept()
	good, behind := newCosigner(t, user, "good.example", server), newCosigner(t, user, "behind.example", server)
	stopped, lying := newCosigner(t, user, "stopped.example", server), newCosigner(t, user, "lying.example", server)
	behind.kill()
	stopped.kill()
	lying.kill()
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		note, err := os.ReadFile(filepath.Join(data, "ledger", "checkpoint")) // the signature of the log, and of others
		if err == nil {
			_, _ = w.Write([]byte(strings.ReplaceAll(string(note[strings.Index(string(note), "\n\n")+2:]), "good.example", "lying.example")))
		}
	}))
	defer liar.Close()
	policy := save(t, []byte("origin "+origin(t, data)+"\n"+logtest.AtURL(good.keys, good.url)+logtest.AtURL(behind.keys, behind.url)+logtest.AtURL(stopped.keys, stopped.url)+logtest.AtURL(lying.keys, liar.URL)+
		"group q 2 good.example behind.example stopped.example lying.example\nquorum q\n"))
	var allow []string
	for _, url := range []string{good.url, behind.url, stopped.url, liar.URL} {
		allow = append(allow, strings.TrimPrefix(url, "http://"))
	}
	b.stop(20 * time.Second)

	b = startBackend(t, data, "--listen", address, "--cosigners", policy, "--notify-allow", strings.Join(allow, ","))
	plain := accept()
	eventually(t, 30*time.Second, "the good cosigner has not signed", func() bool { return signedBy(t, data, "good.example") })
	behind.start()
	accept()
	var served []byte // a later one may have no signature yet
	eventually(t, 70*time.Second, "the cosigner that was behind has not signed", func() bool {
		served = get(t, server+"/checkpoint")
		return hasBoth(served, "behind.example") && hasBoth(served, "good.example")
	})
	for _, name := range []string{"stopped.example", "lying.example"} {
		if strings.Contains(string(served), name) {
			t.Errorf("the served checkpoint has lines of %s:\n%s", name, served)
		}
	}
	for _, url := range []string{stopped.url, liar.URL} {
		if !strings.Contains(b.stderr(), `msg="checkpoint not cosigned" cosigner=`+url+" ") {
			t.Errorf("the log says nothing about %s", url)
		}
	}

	auditor := newVictim(t, "") // without any memory
	verify := func(receipt string, args ...string) int {
		return auditor.td(1, append([]string{"verify", "--trust", auditor.store, "--policy", policy, receipt}, args...)...).exit
	}
	for name, file := range map[string]string{"early": early, "plain": plain} {
		if exit := verify(file); exit != 11 {
			t.Errorf("the %s receipt, as it was handed out: exit code %d", name, exit)
		}
		id := strings.TrimSuffix(filepath.Base(file), ".receipt.json")
		if exit := verify(save(t, get(t, server+"/v1/receipts/"+id))); exit != 0 {
			t.Errorf("the %s receipt, fetched again: exit code %d", name, exit)
		}
		if exit := verify(file, "--cosigned", save(t, served), "--log", server); exit != 0 {
			t.Errorf("the %s receipt with the served checkpoint: exit code %d", name, exit)
		}
	}
	if s := auditor.td(2, "trust", "list", "--trust", auditor.store); strings.Contains(s.out, "terradourada/") {
		t.Errorf("the auditor has a memory:\n%s", s.out)
	}
	if s := auditor.td(2, "cosign", "submit", "--server", server, "--policy", policy, "--out", filepath.Join(t.TempDir(), "out")); s.exit != 0 || !strings.Contains(s.errs, behind.url) {
		t.Errorf("by hand, with the URLs of the policy file: exit code %d: %s", s.exit, s.errs)
	}
	b.stop(20 * time.Second)
}

// TestCosignerOverTLS: server and cosigner speak TLS with certificates of one authority.
// After a restart without a hand-over the cosigner itself reads a checkpoint under the new
// key at the bound URL. With a certificate of another authority there it signs nothing, and
// with one at the cosigner the server submits nothing.
func TestCosignerOverTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers and cosigners")
	}
	t.Parallel()
	address, data := freeAddress(t), t.TempDir()
	ours, other := newAuthority(t), newAuthority(t)
	user := newVictim(t, "", ours.trusted())
	server := secure(address)
	b := startBackend(t, data, append(ours.flags(), "--listen", address)...)
	c := newCosigner(t, user, "a.example", server, ours.flags()...)
	policy := save(t, []byte("origin "+origin(t, data)+"\n"+logtest.AtURL(c.keys, secure(strings.TrimPrefix(c.url, "https://")))+"quorum a.example\n"))
	again := func(flags []string) {
		t.Helper()
		b.kill() // no hand-over
		b = startBackend(t, data, append(flags, "--listen", address, "--cosigners", policy, "--notify-allow", strings.TrimPrefix(c.url, "https://"), "--notify-ca", ours.file)...)
	}
	size := func() string {
		t.Helper()
		s := user.td(2, "cosign", "list", "--dir", c.dir, "-o", "json")
		if s.exit != 0 {
			t.Fatal(s.errs)
		}
		return s.out
	}
	cosigned := func(when string) {
		t.Helper()
		eventually(t, 70*time.Second, when+": the cosigner has not signed", func() bool { return signedBy(t, data, "a.example") })
	}
	refused := func(when, why string) {
		t.Helper()
		before := size()
		eventually(t, 30*time.Second, when+": the log does not say why", func() bool {
			_, line, found := strings.Cut(b.stderr(), `msg="checkpoint not cosigned"`)
			line, _, _ = strings.Cut(line, "\n")
			return found && strings.Contains(line, why)
		})
		if signedBy(t, data, "a.example") || size() != before {
			t.Errorf("%s: the cosigner has signed", when)
		}
	}

	again(ours.flags())
	cosigned("a new key at the bound URL")
	again(other.flags())
	refused("a wrong certificate at the bound URL", "status 503")
	again(ours.flags())
	cosigned("the right certificate again")
	if s, _ := user.submit(server); s.exit != 0 {
		t.Errorf("not accepted: %s", s.errs)
	}
	c.kill()
	c.start(other.flags()...)
	again(ours.flags())
	refused("a wrong certificate of the cosigner", "certificate")
	c.kill()
	c.start(ours.flags()...)
	cosigned("the cosigner's right certificate again")
	b.stop(20 * time.Second)
}
