package main_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// cosignerProcess is a "td cosign serve" of this very binary.
type cosignerProcess struct {
	t    *testing.T
	dir  string
	keys string // lines of a policy file
	url  string
	env  []string // in addition
	cmd  *exec.Cmd
}

// newCosigner makes a cosigner that begins with the present checkpoint of a server, and
// starts it.
func newCosigner(t *testing.T, user *victim, name, server string, args ...string) *cosignerProcess {
	t.Helper()
	c := &cosignerProcess{t: t, dir: filepath.Join(t.TempDir(), name), env: user.env}
	made := user.td(2, "cosign", "init", "--dir", c.dir, "--name", name)
	if added := user.td(2, "cosign", "add", "--dir", c.dir, "--server", server); made.exit != 0 || added.exit != 0 {
		t.Fatalf("%s%s", made.errs, added.errs)
	}
	c.keys = made.out
	c.start(args...)
	t.Cleanup(c.kill)
	return c
}

// start starts it, at the address it had.
func (c *cosignerProcess) start(args ...string) {
	c.t.Helper()
	listen := "127.0.0.1:0"
	if c.url != "" {
		_, listen, _ = strings.Cut(c.url, "://")
	}
	c.cmd = exec.Command("/proc/self/exe", append([]string{"cosign", "serve", "--dir", c.dir, "--listen", listen}, args...)...)
	c.cmd.Env = slices.Concat(os.Environ(), c.env, []string{asProgram + "=1"})
	pipe, err := c.cmd.StderrPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "td: ready "); ok {
			c.url = url
			go func() {
				for lines.Scan() { // so that it can always write
				}
			}()
			return
		}
	}
	c.t.Fatal("the cosigner is not ready")
}

// kill is kill -9.
func (c *cosignerProcess) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// auditing is a log with cosigners, whose operator submits its checkpoints.
type auditing struct {
	t         *testing.T
	operator  *victim
	policy    string // two of three cosigners
	out       string // the cosigned checkpoint
	cosigners []string
}

// submit is td cosign submit.
func (a *auditing) submit(server string) said {
	a.t.Helper()
	args := []string{"cosign", "submit", "--server", server, "--policy", a.policy, "--out", a.out}
	for _, url := range a.cosigners {
		args = append(args, "--cosigner", url)
	}
	return a.operator.td(2, args...)
}

// cosigned wants the newest checkpoint to be cosigned.
func (a *auditing) cosigned(server, when string) {
	a.t.Helper()
	if s := a.submit(server); s.exit != 0 {
		a.t.Fatalf("%s: exit code %d: %s", when, s.exit, s.errs)
	}
}

// refused wants too few cosigners to sign.
func (a *auditing) refused(server, when string) {
	a.t.Helper()
	before, err := os.ReadFile(a.out)
	if err != nil {
		a.t.Fatal(err)
	}
	if s := a.submit(server); s.exit != 7 || strings.Contains(s.errs, " cosigned size") {
		a.t.Errorf("%s: exit code %d: %s", when, s.exit, s.errs)
	}
	if after, err := os.ReadFile(a.out); err != nil || string(after) != string(before) {
		a.t.Errorf("%s: the cosigned checkpoint was replaced, %v", when, err)
	}
}

// TestThreeCosigners: with one of three cosigners stopped, lying or behind, the other two
// suffice, over acceptances, a rotation and a crash of the server. An auditor with nothing
// but their keys then believes the receipts. A copy of the log that goes on under other
// keys, or back, is cosigned by none.
func TestThreeCosigners(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers and cosigners")
	}
	t.Parallel()
	address, data := freeAddress(t), t.TempDir()
	client, stranger := newVictim(t, ""), newVictim(t, "")
	b := startBackend(t, data, "--listen", address)
	server := "http://" + address
	accept := func(v *victim) string {
		t.Helper()
		s, receipt := v.submit(server)
		if s.exit != 0 {
			t.Fatalf("not accepted: %s", s.errs)
		}
		return receipt
	}
	first := accept(client)

	one, two := newCosigner(t, stranger, "one.example", server), newCosigner(t, stranger, "two.example", server)
	three := newCosigner(t, stranger, "three.example", server)
	policy := "origin " + origin(t, data) + "\n" + one.keys + two.keys + three.keys + "group q 2 one.example two.example three.example\nquorum q\n"
	a := &auditing{t: t, operator: newVictim(t, ""), policy: filepath.Join(t.TempDir(), "policy"), out: filepath.Join(t.TempDir(), "checkpoint"), cosigners: []string{one.url, two.url, three.url}}
	if err := os.WriteFile(a.policy, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	a.cosigned(server, "all three")

	three.kill()
	second := accept(client)
	a.cosigned(server, "one is stopped")

	// The last one sends what another cosigner has signed for an older checkpoint.
	old, err := os.ReadFile(a.out)
	if err != nil {
		t.Fatal(err)
	}
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(string(old[strings.Index(string(old), "\n\n")+2:])))
	}))
	defer liar.Close()
	a.cosigners[2] = liar.URL
	accept(client)
	a.cosigned(server, "one is lying")
	a.cosigners[2] = three.url
	three.start()
	two.kill()
	a.cosigned(server, "one is behind, and another one is stopped")
	two.start()

	snapshot := copyOf(t, data)
	rotated := stranger.td(2, "admin", "rotate", "--data", data, "--reason", "because")
	if rotated.exit != 0 {
		t.Fatalf("rotate: %s%s", rotated.out, rotated.errs)
	}
	eventually(t, 30*time.Second, "the next epoch is not active", func() bool { return b.activeFrom(t.Context(), 2) })
	accept(client)
	a.cosigned(server, "after a rotation")

	b.kill()
	b = startBackend(t, data, "--listen", address)
	last := accept(client)
	a.cosigned(server, "after a crash")
	mirror := copyOf(t, filepath.Join(data, "ledger"))

	for name, r := range map[string]string{"first": first, "second": second, "last": last} {
		auditor := newVictim(t, "") // without any memory
		if s := auditor.td(1, "verify", "--trust", auditor.store, "--policy", a.policy, "--cosigned", a.out, "--log", mirror, r); s.exit != 0 {
			t.Errorf("the %s receipt: exit code %d: %s%s", name, s.exit, s.out, s.errs)
		}
		if s := auditor.td(1, "verify", "--trust", auditor.store, "--policy", a.policy, "--log", mirror, r); s.exit != 11 {
			t.Errorf("the %s receipt, without the cosigned checkpoint: exit code %d", name, s.exit)
		}
	}

	// Another server with a copy of the data: the log of the day before goes on there.
	b.stop(20 * time.Second)
	if err := os.RemoveAll(filepath.Join(snapshot, "published")); err != nil {
		t.Fatal(err)
	}
	thief := startBackend(t, snapshot)
	for range 4 {
		if s, _ := newVictim(t, "").submit(thief.url); s.exit != 0 {
			t.Fatalf("the copy accepts nothing: %s", s.errs)
		}
	}
	a.refused(thief.url, "a fork at another address, the server away")
	thief.stop(20 * time.Second)
	thief = startBackend(t, snapshot, "--listen", address)
	a.refused(thief.url, "a fork at the server's own address")
	thief.kill()
}

// origin returns the origin of the log in a data directory.
func origin(t *testing.T, data string) string {
	t.Helper()
	note, err := os.ReadFile(filepath.Join(data, "ledger", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(string(note), "\n")
	return name
}

// TestApproval: with --on-break approve a person decides about the key after a crash.
func TestApproval(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers and a cosigner")
	}
	t.Parallel()
	address, data, user := freeAddress(t), t.TempDir(), newVictim(t, "")
	b := startBackend(t, data, "--listen", address)
	server := "http://" + address
	c := newCosigner(t, user, "one.example", server, "--on-break", "approve")
	a := &auditing{t: t, operator: user, policy: filepath.Join(t.TempDir(), "policy"), out: filepath.Join(t.TempDir(), "checkpoint"), cosigners: []string{c.url}}
	if err := os.WriteFile(a.policy, []byte("origin "+origin(t, data)+"\n"+c.keys+"quorum one.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.cosigned(server, "before")
	b.kill()
	b = startBackend(t, data, "--listen", address)
	a.refused(server, "after a crash, without approval")
	list := user.td(2, "cosign", "list", "--dir", c.dir)
	found := regexp.MustCompile(`approve --dir \S+ --origin (\S+) --key (\S+)`).FindStringSubmatch(list.out)
	if found == nil {
		t.Fatalf("no key waits: %s%s", list.out, list.errs)
	}
	if info := user.td(2, "log", "info", "--server", server); !strings.Contains(info.out, "key     "+found[2]+"\n") {
		t.Errorf("td log info does not print the key that waits: %s%s", info.out, info.errs)
	}
	if s := user.td(2, "cosign", "approve", "--dir", c.dir, "--origin", found[1], "--key", found[2]); s.exit != 0 {
		t.Fatalf("approve: %s", s.errs)
	}
	a.cosigned(server, "after a crash, with approval")
	b.stop(20 * time.Second)
}

// TestCosignUsage: what cannot be right is refused with a hint, before anything is made.
func TestCosignUsage(t *testing.T) {
	user, dir := newVictim(t, ""), filepath.Join(t.TempDir(), "c")
	if s := user.td(2, "cosign", "init", "--dir", dir, "--name", "a.example"); s.exit != 0 {
		t.Fatal(s.errs)
	}
	for _, f := range []string{"cosigner.key", "cosigner.db"} {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", f, err)
		}
	}
	for _, tt := range []struct {
		exit int
		want string
		args []string
	}{
		{2, "already", []string{"init", "--dir", dir, "--name", "a.example"}},
		{2, "blanks", []string{"init", "--dir", dir + "2", "--name", "a b"}},
		{4, "no cosigner in", []string{"list", "--dir", dir + "2"}},
		{4, "no cosigner in", []string{"serve", "--dir", dir + "2"}},
		{8, "no certificate", []string{"serve", "--dir", dir, "--listen", "0.0.0.0:0"}},
		{4, "does not know", []string{"approve", "--dir", dir, "--origin", "x", "--key", strings.Repeat("A", 43)}},
		{2, "not a checkpoint key", []string{"approve", "--dir", dir, "--origin", "x", "--key", "x"}},
		{2, "not an http", []string{"submit", "--cosigner", "x", "--policy", "x", "--out", "x"}},
	} {
		if s := user.td(2, append([]string{"cosign"}, tt.args...)...); s.exit != tt.exit || !strings.Contains(s.errs, tt.want) {
			t.Errorf("%q: exit code %d, %s", tt.args, s.exit, s.errs)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "cosigner.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := user.td(2, "cosign", "serve", "--dir", dir); s.exit != 5 {
		t.Errorf("a key that others can read: exit code %d, %s", s.exit, s.errs)
	}
}
