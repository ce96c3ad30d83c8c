package main_test

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// emulatedTPM runs an emulator until the test ends, and returns its socket.
func emulatedTPM(t *testing.T) (socket string, kill func()) {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("swtpm is not installed, so that no TPM can be asked: Debian has it in the package swtpm")
	}
	dir := t.TempDir()
	socket = filepath.Join(dir, "tpm.sock")
	cmd := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	t.Cleanup(kill)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			_ = c.Close()
			return socket, kill
		}
	}
	t.Fatal("swtpm does not listen")
	return "", nil
}

// judged is what td verify says about one file.
type judged struct {
	OK          bool
	Verdict     string
	FailedStep  string `json:"failed_step"`
	Attestation struct {
		OK                bool
		Detail, State, By string
		Key               string
		Measurements      []struct{ Name, Value string }
	}
}

func judge(t *testing.T, want int, args ...string) (j judged) {
	t.Helper()
	code, out, stderr := runTD(append([]string{"verify", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &j); err != nil || code != want {
		t.Fatalf("exit %d, want %d, %v\n%s%s", code, want, err, out, stderr)
	}
	return j
}

// attestedReceipt has a server attest its epoch, and returns a receipt of it.
func attestedReceipt(t *testing.T, b *backend) string {
	t.Helper()
	dir := t.TempDir()
	event := filepath.Join(dir, "event.json")
	if err := os.WriteFile(event, []byte(`{"lot":"A"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := runTD("trust", "add", "--server", b.url); code != 0 { // after a restart it is at another address
		t.Fatalf("trust add: exit %d\n%s", code, stderr)
	}
	if code, _, stderr := runTD("submit", "--server", b.url, "--claim", "open/1", "--out", dir, event); code != 0 {
		t.Fatalf("submit: exit %d\n%s", code, stderr)
	}
	receipts, err := filepath.Glob(filepath.Join(dir, "*.receipt.json"))
	if err != nil || len(receipts) != 1 {
		t.Fatalf("%d receipts, %v", len(receipts), err)
	}
	return receipts[0]
}

// TestAttestation takes the evidence of a TPM from the server, which opened no
// epoch without it, to a verifier of a receipt, with the sandbox on.
func TestAttestation(t *testing.T) {
	configHome(t)
	socket, kill := emulatedTPM(t)
	data := t.TempDir()
	b := startBackend(t, data, "--attestation", "tpm", "--tpm", socket)
	r := attestedReceipt(t, b)
	epoch, err := b.Epoch(t.Context(), 1)
	if err != nil || !epoch.Evidence {
		t.Errorf("epoch %+v, %v", epoch, err)
	}

	usable := judge(t, 3, "--attestation", b.url, r)
	if usable.Verdict != "valid" || usable.FailedStep != "attestation" || usable.Attestation.State != "usable" || !strings.Contains(usable.Attestation.Detail, "nothing vouches for") {
		t.Errorf("with no root for the TPM: %+v", usable)
	}
	pin := filepath.Join(t.TempDir(), "ak.pem")
	if err := os.WriteFile(pin, []byte(usable.Attestation.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	pcr := usable.Attestation.Measurements[7]
	attested := judge(t, 0, "--attestation", b.url, "--attestation-roots", pin, "--measurement", pcr.Name+"="+pcr.Value, r)
	if !attested.OK || attested.Attestation.State != "attested" || !strings.Contains(attested.Attestation.Detail, "1 of 16 measurements as expected") {
		t.Errorf("with its key pinned: %+v", attested)
	}
	other := judge(t, 3, "--attestation", b.url, "--attestation-roots", pin, "--measurement", pcr.Name+"="+strings.Repeat("ab", 32), r)
	if other.Attestation.OK || !strings.Contains(other.Attestation.Detail, "pcr7") {
		t.Errorf("with another measurement: %+v", other)
	}

	// The evidence, kept as a file, outlives the server, and is of one epoch.
	evidence, err := b.Attestation(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "epoch.evidence")
	if err := os.WriteFile(file, evidence, 0o600); err != nil {
		t.Fatal(err)
	}
	b.stop(30 * time.Second)
	b = startBackend(t, data, "--attestation", "tpm", "--tpm", socket)
	next := attestedReceipt(t, b)
	b.stop(30 * time.Second)
	if j := judge(t, 0, "--attestation", file, "--attestation-roots", pin, r); !j.OK {
		t.Errorf("from a file: %+v", j)
	}
	if j := judge(t, 3, "--attestation", file, "--attestation-roots", pin, next); !strings.Contains(j.Attestation.Detail, "does not name this epoch") {
		t.Errorf("of another epoch: %+v", j)
	}
	code, out, _ := runTD("verify", "--attestation", file, "--attestation-roots", pin, r)
	if code != 0 || !strings.Contains(out, "ok   attestation  attested: tpm quote that names this epoch") {
		t.Errorf("exit %d\n%s", code, out)
	}

	// Without the TPM no server starts that is configured to have one.
	kill()
	refused := launch(t, data, "--attestation", "tpm", "--tpm", socket)
	<-refused.done
	if code := refused.cmd.ProcessState.ExitCode(); code != 8 || !strings.Contains(refused.stderr(), "--attestation none") {
		t.Errorf("exit %d\n%s", code, refused.stderr())
	}
}

// TestAttestationAuto: a server that takes what there is serves without, too, and
// says nothing about hardware that it has not asked.
func TestAttestationAuto(t *testing.T) {
	configHome(t)
	b := startBackend(t, t.TempDir(), "--attestation", "auto", "--tpm", filepath.Join(t.TempDir(), "none"))
	r := attestedReceipt(t, b)
	if j := judge(t, 3, "--attestation", b.url, r); j.Verdict != "valid" || !strings.Contains(j.Attestation.Detail, "no evidence") {
		t.Errorf("%+v", j)
	}
	if code, out, _ := runTD("verify", r); code != 0 || strings.Contains(out, "attestation") {
		t.Errorf("not asked for: exit %d\n%s", code, out)
	}
	b.stop(30 * time.Second)
	socket, _ := emulatedTPM(t)
	b = startBackend(t, b.data, "--attestation", "auto", "--tpm", socket)
	for end := time.Now().Add(20 * time.Second); !strings.Contains(b.stderr(), "epoch has evidence"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no evidence comes")
		}
	}
	b.stop(30 * time.Second)
}

// TestAttestationFlags: flags that judge evidence need some, and are read before
// anything is printed.
func TestAttestationFlags(t *testing.T) {
	configHome(t)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	receipt, big := write("r.json", []byte("{}")), write("big", bytes.Repeat([]byte{1}, 70_000))
	evidence, text := write("e", []byte("TDATT001")), write("t", []byte("hello"))
	for want, args := range map[int][][]string{
		2: {
			{"--measurement", "pcr0=00"},
			{"--attestation-roots", text},
			{"--attestation", evidence, "--measurement", "pcr0"},
			{"--attestation", evidence, "--measurement", "pcr0=xyz"},
			{"--attestation", evidence, "--measurement", "pcr0=00", "--measurement", "pcr0=01"},
			{"--attestation", big},
		},
		4: {{"--attestation", filepath.Join(dir, "none")}},
		8: {{"--attestation", evidence, "--attestation-roots", text}},
	} {
		for _, a := range args {
			if code, out, stderr := runTD(append(append([]string{"verify"}, a...), receipt)...); code != want || out != "" {
				t.Errorf("%q: exit %d, want %d: %s%s", a, code, want, out, stderr)
			}
		}
	}
}

// TestDoctorAttestation: detected, usable and attested are distinguished.
func TestDoctorAttestation(t *testing.T) {
	configHome(t)
	find := func(f doctorFound, section string) (state, value string) {
		for _, p := range f.Probes {
			if p.ID == "attestation" && p.Section == section {
				return p.State, p.Value
			}
		}
		return "", ""
	}
	none := filepath.Join(t.TempDir(), "none")
	_, f := examined(t, t.TempDir(), "--listen", freePort(t), "--prover", "none", "--tpm", none)
	if state, value := find(f, "machine"); state == "ok" || !strings.Contains(value, "tpm absent") {
		t.Errorf("without a TPM: %s %s", state, value)
	}
	code, f := examined(t, t.TempDir(), "--listen", freePort(t), "--prover", "none", "--tpm", none, "--attestation", "tpm")
	if state, _ := find(f, "server"); code != 1 || state != "missing" {
		t.Errorf("without the TPM that is configured: exit %d, %s", code, state)
	}
	l, err := net.Listen("unix", none)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_ = c.Close()
		}
	}()
	_, f = examined(t, t.TempDir(), "--listen", freePort(t), "--prover", "none", "--tpm", none)
	if state, value := find(f, "machine"); state != "weak" || !strings.Contains(value, "tpm detected") {
		t.Errorf("with a deaf one: %s %s", state, value)
	}
	socket, _ := emulatedTPM(t)
	_, f = examined(t, t.TempDir(), "--listen", freePort(t), "--prover", "none", "--tpm", socket, "--attestation", "tpm")
	if state, value := find(f, "machine"); state != "weak" || !strings.Contains(value, "tpm usable") {
		t.Errorf("with a TPM: %s %s", state, value)
	}
	if _, value := find(f, "server"); value != "" {
		t.Errorf("the TPM that is configured answers, and is missing: %s", value)
	}
}
