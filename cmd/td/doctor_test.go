package main_test

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/sandbox"
)

// doctorFound is what "td doctor -o json" prints.
type doctorFound struct {
	OK      bool `json:"ok"`
	Running bool `json:"running"`
	Probes  []struct {
		Section, ID, State, Value, Source, Remedy, Effect string
	}
}

func (f *doctorFound) state(id string) string {
	for _, p := range f.Probes {
		if p.ID == id {
			return p.State
		}
	}
	return "absent"
}

// examined runs td doctor on a data directory. The grade of the test binary is
// not what these tests are about.
func examined(t *testing.T, data string, args ...string) (code int, found doctorFound) {
	t.Helper()
	args = append([]string{"doctor", "-o", "json", "--data", data, "--min-grade", "D", "--allow-development-grade"}, args...)
	code, out, stderr := runTD(args...)
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&found); err != nil {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, stderr)
	}
	if found.OK != (code == 0) || code > 1 {
		t.Errorf("exit %d with ok %v", code, found.OK)
	}
	for _, p := range found.Probes {
		known := p.State == "ok" || p.State == "weak" || p.State == "missing" || p.State == "unknown"
		if !known || p.ID == "" || p.Value == "" || p.Section == "" || p.Source == "" {
			t.Errorf("a probe that says too little: %+v", p)
		}
		if p.State == "missing" && p.Remedy == "" {
			t.Errorf("no remedy for %+v", p)
		}
	}
	return code, found
}

// freePort returns an address that no process listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestDoctorBesideServer(t *testing.T) {
	data := t.TempDir()
	chmod(t, data, 0o700)
	b := startBackend(t, data, limits...)
	b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
	awaitPublished(t, b.data)
	code, found := examined(t, b.data, "--listen", strings.TrimPrefix(b.url, "http://"))
	if code != 0 || !found.Running {
		t.Errorf("beside a server: exit %d, %+v", code, found)
	}
	for _, id := range []string{"running", "data_directory", "journal", "ledger", "listen", "wall_clock", "entropy", "verifier", "keyholders", "prover", "core_user"} {
		if s := found.state(id); s != "ok" && (id != "core_user" || sandbox.AllThreads) {
			t.Errorf("%s is %s", id, s)
		}
	}
	if found.state("memlock") == "absent" || found.state("core_limit") == "absent" || found.state("swap") == "absent" {
		t.Error("the machine was not looked at")
	}
	b.alive() // and was not disturbed
	b.stop(10 * time.Second)
	if _, found = examined(t, b.data, "--listen", freePort(t)); found.Running || !found.OK {
		t.Errorf("after the server: %+v", found)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestDoctorSaysWhatTheCoreWouldBe: the measure of the core is that of a server
// that is started in the same way.
func TestDoctorSaysWhatTheCoreWouldBe(t *testing.T) {
	if os.Geteuid() != 0 || developmentEnv() != nil {
		t.Skip("only root becomes another user, and only in a build without cgo")
	}
	data := t.TempDir()
	openWay(t, data)
	for _, c := range []struct {
		args              []string
		state, core, user string
	}{
		{nil, "ok", "user 65523, no capability, launcher apart", "65523, and the data directory is given to it"},
		{[]string{"--child-uid", "0"}, "weak", "user 0, no capability, launcher apart", "root, without capabilities: child_uid is 0"},
	} {
		_, found := examined(t, data, append(c.args, "--listen", freePort(t))...)
		for _, p := range found.Probes {
			if p.ID == "core" && (p.State != c.state || p.Value != c.core) || p.ID == "core_user" && (p.State != c.state || p.Value != c.user) {
				t.Errorf("%v: %s is %s: %s", c.args, p.ID, p.State, p.Value)
			}
		}
		if found.state("core") == "absent" {
			t.Errorf("%v: nothing about the core", c.args)
		}
	}
}

// TestDoctorPrints: people see what decides and what is not ok.
func TestDoctorPrints(t *testing.T) {
	configHome(t)
	code, out, stderr := runTD("doctor", "--listen", freePort(t), "--min-grade", "D", "--allow-development-grade")
	if code != 0 || !strings.Contains(out, "keyholders") || !strings.Contains(out, "more probes that are ok") || stderr != "" {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
	code, out, stderr = runTD("doctor", "--group", "/nonexistent", "--min-grade", "D", "--allow-development-grade", "--prover", "none")
	if code != 1 || !strings.Contains(out, "remedy: td claims list-file") || !strings.Contains(stderr, "error: ") {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
}
