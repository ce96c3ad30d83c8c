//go:build memscan && linux

package keyholder_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/secret"
	"github.com/terradourada/td/protocol"
)

// freezes is how often a child is stopped in the middle of its work.
const freezes = 40

// outcome is one line of the result, which scripts/memscan.sh puts together.
type outcome struct {
	Name    string `json:"name"`
	Hits    int    `json:"hits"`    // pieces of keys outside of the region, all scans together
	Control bool   `json:"control"` // the control of this build was found, by every class
	Level   string `json:"level"`   // that the children got
	Grade   string `json:"grade"`   // of the signer's posture
	Scans   int    `json:"scans"`
	Frozen  int    `json:"frozen"` // scans of a child stopped at work
	Masks   int    `json:"masked"` // of those, with a mask of a signature in progress in memory

	// InFlight is how many of those had a piece of a key outside of the region
	// that was gone at rest.
	InFlight int `json:"in_flight"`
}

// scanned leaves the test out, loudly, where it cannot look.
func scanned(t *testing.T) {
	t.Helper()
	if os.Getenv("TD_MEMSCAN") != "1" {
		t.Skip("NOT SCANNED: TD_MEMSCAN is not 1 (make memscan)")
	}
	if os.Getuid() != 0 {
		t.Skip("NOT SCANNED: reading the memory of the children needs root")
	}
}

func newSeed() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// scannedProcess is a process of this binary that obeys lines.
type scannedProcess struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startScanned(t *testing.T, args ...string) *scannedProcess {
	t.Helper()
	p := &scannedProcess{t: t, cmd: exec.CommandContext(t.Context(), "/proc/self/exe", args...)}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = p.cmd.Wait()
	})
	return p
}

func (p *scannedProcess) line() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatal("the process ended")
	}
	return p.out.Text()
}

func (p *scannedProcess) order(what string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, what+"\n"); err != nil {
		p.t.Fatal(err)
	}
	if got := p.line(); got != "ok" {
		p.t.Fatalf("%s: %s", what, got)
	}
}

// frozen scans a process stopped wherever it is.
func frozen(t *testing.T, pid int, p *patterns) finding {
	t.Helper()
	signal(t, pid, syscall.SIGSTOP)
	defer signal(t, pid, syscall.SIGCONT)
	eventually(t, "stop of all threads", func() bool {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		return err == nil && !slices.ContainsFunc(tasks, func(name string) bool {
			b, err := os.ReadFile(name)
			_, rest, _ := strings.Cut(string(b), ") ")
			return err == nil && !strings.HasPrefix(rest, "T")
		})
	})
	return scan(t, pid, p)
}

// TestMemscan scans signer, tagger and core at every level of memory: when they
// are ready, at work, at rest and after the wipe. Nothing of any key may lie
// outside of the region, but for what a stopped child was just computing with.
func TestMemscan(t *testing.T) {
	scanned(t)
	control := findControl(t)
	for _, level := range []secret.Level{secret.SecretMem, secret.Locked, secret.Plain} {
		t.Run(level.String(), func(t *testing.T) {
			s := startSubject(t, level)
			s.outcome.Control = control
			s.all("ready")
			s.order("load")
			for range freezes {
				s.freeze()
			}
			s.order("stop")
			s.regions(s.all("at rest"))
			if f := scan(t, s.cmd.Process.Pid, s.info.signatures(t, s.seed)); f.total() > 0 {
				t.Errorf("signatures in the core: %v", f)
			}
			s.order("seal")
			if signer, _ := s.all("wiped"); sum(signer.region) > 0 {
				t.Errorf("in the region of the signer after the wipe: %v", signer.region)
			}
			report(t, s.outcome)
		})
	}
}

// subject is a core with its children and what is looked for in them.
type subject struct {
	*scannedProcess
	seed    string
	level   secret.Level
	keys    *patterns
	info    coreInfo
	outcome outcome
}

func startSubject(t *testing.T, level secret.Level) *subject {
	t.Helper()
	s := &subject{seed: newSeed(), level: level}
	s.keys = keyPatterns(s.seed)
	s.scannedProcess = startScanned(t, scanCore, s.seed, level.String())
	if err := json.Unmarshal([]byte(s.line()), &s.info); err != nil {
		t.Fatal(err)
	}
	for _, detail := range s.info.Memory {
		if !strings.HasPrefix(detail, level.String()+",") {
			t.Skipf("NOT SCANNED: %s was asked for, got %s", level, detail)
		}
	}
	s.outcome = outcome{Name: level.String() + "+" + computing(), Level: s.info.Memory[0], Grade: s.info.Grade}
	return s
}

// look scans a process that does not work; what is found is a failure.
func (s *subject) look(what string, pid int) finding {
	s.t.Helper()
	f := scan(s.t, pid, s.keys)
	s.outcome.Scans++
	s.outcome.Hits += f.total()
	if f.total() > 0 {
		s.t.Errorf("%s: %v", what, f)
	} else {
		s.t.Logf("%s: %v", what, f)
	}
	if pid != s.cmd.Process.Pid && (f.refused > 0) != (s.level == secret.SecretMem) {
		s.t.Errorf("%s: %d bytes of the region could not be read", what, f.refused)
	}
	return f
}

func (s *subject) all(what string) (signer, tagger finding) {
	s.t.Helper()
	s.look(what+", core", s.cmd.Process.Pid)
	return s.look(what+", signer", s.info.Signer), s.look(what+", tagger", s.info.Tagger)
}

// freeze scans both children stopped in the middle of their work. A piece of a
// key may be what is just being computed with: then it is gone at rest.
func (s *subject) freeze() {
	s.t.Helper()
	signer, tagger := frozen(s.t, s.info.Signer, s.keys), frozen(s.t, s.info.Tagger, s.keys)
	s.outcome.Frozen++
	if signer.masks > 0 {
		s.outcome.Masks++
	}
	if signer.total()+tagger.total() == 0 {
		return
	}
	s.t.Logf("stopped at work, signer: %v", signer)
	s.t.Logf("stopped at work, tagger: %v", tagger)
	s.order("stop")
	s.all("at rest after that")
	s.order("load")
	if s.outcome.InFlight++; s.outcome.InFlight > freezes/10 {
		s.t.Errorf("pieces of keys in %d of %d images", s.outcome.InFlight, s.outcome.Frozen)
	}
}

// regions sees that the same eyes find what is in a region they can read.
func (s *subject) regions(signer, tagger finding) {
	s.t.Helper()
	if s.level == secret.SecretMem {
		return
	}
	want := []string{"K", "checkpoint prefix", "checkpoint scalar", "s1", "s1h", "s2", "s2h", "t0", "t0h"}
	if got := slices.Sorted(maps.Keys(signer.region)); !slices.Equal(got, want) {
		s.t.Errorf("in the region of the signer: %q, want %q", got, want)
	}
	if got := slices.Sorted(maps.Keys(tagger.region)); !slices.Equal(got, []string{"HMAC key"}) {
		s.t.Errorf("in the region of the tagger: %q", got)
	}
}

// signatures are patterns of what the signer signed first.
func (info *coreInfo) signatures(t *testing.T, seed string) *patterns {
	t.Helper()
	p := newPatterns()
	origin := derived(seed, "origin")
	_, private := mldsa65.NewKeyFromSeed(&origin)
	for _, payload := range info.Payloads {
		p.add("signature", sign(t, private, payload)[:sigEntropy], 32)
	}
	return p
}

// sigEntropy is the part of a signature before its hint, most of which is zero.
const sigEntropy = 48 + 5*640

func sign(t *testing.T, private *mldsa65.PrivateKey, payload []byte) []byte {
	t.Helper()
	sig := make([]byte, mldsa65.SignatureSize)
	if err := mldsa65.SignTo(private, payload, []byte(protocol.SignatureContext), keyholder.Hedged, sig); err != nil {
		t.Fatal(err)
	}
	return sig
}

// computing names what the build does for secret.Do.
func computing() string {
	if secret.Enabled {
		return "runtimesecret"
	}
	return "burn"
}

// findControl scans a process that takes no care: every class of patterns must
// be found in it, or the scan is blind; and so must masks.
func findControl(t *testing.T) bool {
	t.Helper()
	seed := newSeed()
	keys := keyPatterns(seed)
	p := startScanned(t, scanControl, seed, "none")
	if got := p.line(); got != "ok" {
		t.Fatal(got)
	}
	found, masked := map[string]bool{}, 0
	for range freezes {
		f := frozen(t, p.cmd.Process.Pid, keys)
		for c := range f.hits {
			found[c] = true
		}
		if f.masks > 0 {
			masked++
		}
	}
	t.Logf("control: %d of %d classes, masks in %d of %d", len(found), len(keys.classes()), masked, freezes)
	for _, c := range keys.classes() {
		if !found[c] {
			t.Errorf("the control has %s in the open, and the scan did not find it", c)
		}
	}
	if masked == 0 {
		t.Error("the control signs all the time, and the scan found no mask")
	}
	return !t.Failed()
}

// TestMemscanSocket searches all that a signer sends for its signatures.
func TestMemscanSocket(t *testing.T) {
	scanned(t)
	seed := newSeed()
	cfg := keyholder.Config{Args: func(kind string) []string { return []string{scanChild, kind, seed, "secretmem"} }}
	sock, _, err := keyholder.Spawn(cfg, "signer")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	if err := sock.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	start := keyholder.SignerStartFrame(keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance})
	capture := make([]byte, keyholder.SignerReadySize)
	if _, err := sock.Write(encode(start)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(sock, capture); err != nil {
		t.Fatal(err)
	}
	epoch, err := keyholder.ReadyEpoch(capture)
	if err != nil {
		t.Fatal(err)
	}
	secrets := keyPatterns(seed)
	key := derived(seed, "origin")
	_, private := mldsa65.NewKeyFromSeed(&key)
	answer := make([]byte, keyholder.SignerAnswerSize)
	var sample []byte
	for seq := uint64(1); seq <= 4*known; seq++ {
		p := payload(epoch, seq)
		if _, err := sock.Write(encode(keyholder.NewFrame(seq, keyholder.ReqAnchor, p[:]))); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(sock, answer); err != nil {
			t.Fatal(err)
		}
		capture = append(capture, answer...)
		sample = sign(t, private, p[:])[:sigEntropy]
		secrets.add("signature", sample, 16)
	}
	if !bytes.Equal(keyholder.ReadyPublicKey(capture), private.Public().(*mldsa65.PublicKey).Bytes()) {
		t.Error("the capture is not of the key that is looked for")
	}
	hits := map[string]int{}
	secrets.find(capture, hits)
	if len(hits) > 0 {
		t.Errorf("on the socket: %v", hits)
	}
	secrets.find(sample[:64], hits)
	if hits["signature"] == 0 {
		t.Error("a signature is not found where it is")
	}
}

// report writes an outcome where the script finds it.
func report(t *testing.T, o outcome) {
	t.Helper()
	line, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(string(line))
	name := os.Getenv("TD_MEMSCAN_OUT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
}
