//go:build memscan && linux

package keyholder_test

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/secret"
	"github.com/terradourada/td/protocol"
)

// freezes is how often processes are stopped in the middle of their work: 40
// times unless TD_MEMSCAN_FREEZES says otherwise.
func freezes(t testing.TB) int {
	t.Helper()
	text := os.Getenv("TD_MEMSCAN_FREEZES")
	if text == "" {
		return 40
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 5 {
		t.Fatalf("TD_MEMSCAN_FREEZES is %q, and is to be 5 at least", text)
	}
	return n
}

// outcome is one line of the result, which scripts/memscan.sh puts together.
type outcome struct {
	Name    string `json:"name"`
	Hits    int    `json:"hits"`    // pieces of keys outside of the region, all scans together
	Control bool   `json:"control"` // the control of this build was found, by every class
	Level   string `json:"level"`   // that the children got
	Grade   string `json:"grade"`   // of the signer's posture
	Scans   int    `json:"scans"`   // of processes at rest
	Frozen  int    `json:"frozen"`  // times that signer and tagger were stopped at work and scanned
	Masks   int    `json:"masked"`  // of those, with a mask of a signature in progress in the signer

	// Hedged is how often a signer that was stopped at work had the randomness of a
	// signature in it, or what masks are expanded from.
	Hedged int `json:"hedged"`

	// InFlight is how often a stopped child had a piece of a key outside of the
	// region that was gone at rest.
	InFlight int `json:"in_flight"`
}

// scanned leaves the test out, loudly, where it cannot look.
func scanned(t *testing.T) {
	t.Helper()
	if os.Getenv("TD_MEMSCAN") != "1" {
		t.Skip("NOT SCANNED: TD_MEMSCAN is not 1 (make memscan)")
	}
	if os.Getuid() != 0 {
		notScanned(t, "reading the memory of the children needs root")
	}
}

// notScanned ends a test that cannot look, and says so in the result.
func notScanned(t testing.TB, why string) {
	t.Helper()
	report(t, map[string]string{"name": mode(t), "skipped": why})
	t.Skip("NOT SCANNED: " + why)
}

// can ends a test that is not allowed to do what another one may, as root of a
// container is not.
func can(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, fs.ErrPermission) {
		notScanned(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// mode names what a test scans, and the build.
func mode(t testing.TB) string {
	t.Helper()
	build := "burn"
	if secret.Enabled {
		build = "runtimesecret"
	}
	_, name, _ := strings.Cut(t.Name(), "/")
	return strings.TrimPrefix(name+"+"+build, "+")
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
	can(t, syscall.Kill(pid, syscall.SIGSTOP))
	defer signal(t, pid, syscall.SIGCONT)
	stop(t, pid)
	return scan(t, pid, p)
}

// TestMemscan scans processes from outside, at every level of memory: signer
// and tagger with a core that drives them hard and has the key wiped, and a
// real server under real requests. Nothing of any key may lie outside of the
// region, but for what a stopped child was just computing with.
func TestMemscan(t *testing.T) {
	scanned(t)
	control := findControl(t)
	for _, level := range []secret.Level{secret.SecretMem, secret.Locked, secret.Plain} {
		t.Run(level.String(), func(t *testing.T) { scanPrograms(t, level, control) })
		t.Run("serve/"+level.String(), func(t *testing.T) { scanServer(t, level, control) })
	}
}

func scanPrograms(t *testing.T, level secret.Level, control bool) {
	t.Helper()
	seed := newSeed()
	p := startScanned(t, scanCore, seed, level.String())
	var info coreInfo
	if err := json.Unmarshal([]byte(p.line()), &info); err != nil {
		t.Fatal(err)
	}
	s := newSubject(t, seed, level, info.Memory[:])
	s.outcome.Control, s.outcome.Grade = control, info.Grade
	s.pids = map[string]int{"core": p.cmd.Process.Pid, "signer": info.Signer, "tagger": info.Tagger}
	s.load, s.rest = func() { p.order("load") }, func() { p.order("stop") }
	s.stages()
	s.all("ready")
	s.atWork(freezes(t))
	s.regions(s.all("at rest"))
	s.noSignatures(info.Payloads)
	p.order("seal")
	if signer := s.all("wiped")["signer"]; sum(signer.region) > 0 {
		t.Errorf("in the region of the signer after the wipe: %v", signer.region)
	}
	report(t, s.outcome)
}

// subject is a core with its children and what is looked for in them.
type subject struct {
	t          *testing.T
	seed       string
	level      secret.Level
	keys       *patterns
	pids       map[string]int // by kind: core, signer, tagger, perhaps prover
	load, rest func()         // begin and end work
	outcome    outcome
}

// newSubject wants every child to say that its memory is of the level.
func newSubject(t *testing.T, seed string, level secret.Level, memory []string) *subject {
	t.Helper()
	for _, said := range memory {
		if !strings.HasPrefix(said, level.String()+",") {
			notScanned(t, fmt.Sprintf("%s was asked for, got %s", level, said))
		}
	}
	return &subject{
		t: t, seed: seed, level: level, keys: keyPatterns(seed),
		outcome: outcome{Name: mode(t), Level: memory[0]},
	}
}

func keeps(kind string) bool { return kind == "signer" || kind == "tagger" }

// all scans processes that do not work; what is found is a failure.
func (s *subject) all(what string) map[string]finding {
	s.t.Helper()
	found := map[string]finding{}
	for kind, pid := range s.pids {
		f := scan(s.t, pid, s.keys)
		found[kind] = f
		s.outcome.Scans++
		s.outcome.Hits += f.total()
		s.t.Logf("%s, %s: %v", what, kind, f)
		if f.total() > 0 {
			s.t.Errorf("%s: pieces of keys in the %s", what, kind)
		}
		if want := keeps(kind) && s.level == secret.SecretMem; (f.refused > 0) != want {
			s.t.Errorf("%s: %d bytes of a region of the %s could not be read", what, f.refused, kind)
		}
	}
	return found
}

// atWork scans signer and tagger n times, each stopped in the middle of its
// work, and the other processes every fourth time.
func (s *subject) atWork(n int) {
	s.t.Helper()
	s.load()
	for i := range n {
		s.freeze(n, i%4 == 0)
	}
	s.rest()
}

// freeze does so once. A piece of a key in a keyholder may be what is just
// being computed with: then it is gone at rest, and that is rare.
func (s *subject) freeze(n int, others bool) {
	s.t.Helper()
	s.outcome.Frozen++
	inFlight := false
	for kind, pid := range s.pids {
		if !keeps(kind) && !others {
			continue
		}
		f := frozen(s.t, pid, s.keys)
		if kind == "signer" && f.masks > 0 {
			s.outcome.Masks++
		}
		if kind == "signer" && f.hits[randomness]+f.hits[maskSeeds] > 0 {
			s.outcome.Hedged++
			delete(f.hits, randomness)
			delete(f.hits, maskSeeds)
		}
		if f.total() == 0 {
			continue
		}
		s.t.Logf("stopped at work, %s: %v", kind, f)
		if inFlight = true; !keeps(kind) {
			s.outcome.Hits += f.total()
			s.t.Errorf("pieces of keys in the %s", kind)
		}
	}
	if !inFlight {
		return
	}
	s.rest()
	s.all("at rest after that")
	s.load()
	if s.outcome.InFlight++; s.outcome.InFlight > max(2, n/10) {
		s.t.Errorf("pieces of keys in %d of %d images", s.outcome.InFlight, s.outcome.Frozen)
	}
}

// regions sees that the same eyes find what is in a region they can read.
func (s *subject) regions(found map[string]finding) {
	s.t.Helper()
	if s.level == secret.SecretMem {
		return
	}
	for kind, want := range map[string][]string{
		"signer": {"K", "checkpoint prefix", "checkpoint scalar", "s1", "s1h", "s2", "s2h", "t0", "t0h"},
		"tagger": {"HMAC key"},
	} {
		if got := slices.Sorted(maps.Keys(found[kind].region)); !slices.Equal(got, want) {
			s.t.Errorf("in the region of the %s: %q, want %q", kind, got, want)
		}
	}
}

// stages scans both children on their way to their first request, and before
// their end: they have no key before they are locked down, nor at their end, in
// the region neither, and in between nothing of it is elsewhere.
func (s *subject) stages() {
	s.t.Helper()
	for kind, start := range map[string]keyholder.Frame{
		"signer": keyholder.SignerStartFrame(keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance}),
		"tagger": keyholder.TaggerStartFrame(protocol.EpochID{9}, 7, 10),
	} {
		for _, stage := range []string{"mapped", "locked down", "drawn", "over"} {
			child, err := keyholder.Spawn(keyholder.Config{Starter: scanStarter(s.seed, s.level.String(), stage)}, kind)
			if err != nil {
				s.t.Fatal(err)
			}
			sock := child.Sock
			if _, err := sock.Write(encode(start)); err != nil {
				s.t.Fatal(err)
			}
			if stage == "over" { // it is stopped behind the end of its socket
				if err := unix.Shutdown(int(sock.Fd()), unix.SHUT_WR); err != nil {
					s.t.Fatal(err)
				}
			}
			eventually(s.t, "stop at a stage", func() bool { return stopped(child.PID) })
			f := scan(s.t, child.PID, s.keys)
			s.t.Logf("%s, %s: %v", stage, kind, f)
			s.outcome.Scans++
			s.outcome.Hits += f.total()
			if f.total() > 0 {
				s.t.Errorf("%s: pieces of keys in the %s", stage, kind)
			}
			if unread := s.level == secret.SecretMem; (f.refused > 0) != unread {
				s.t.Errorf("%s: %d bytes of a region of the %s could not be read", stage, f.refused, kind)
			} else if drawn := stage == "drawn"; !unread && (sum(f.region) > 0) != drawn {
				s.t.Errorf("%s: in the region of the %s: %v", stage, kind, f.region)
			}
			signal(s.t, child.PID, syscall.SIGCONT)
			if err := sock.Close(); err != nil {
				s.t.Fatal(err)
			}
			<-child.Ended()
		}
	}
}

// noSignatures searches all processes for signatures of these payloads, and for
// what their masks were expanded from; of the signer challenges are left out.
func (s *subject) noSignatures(payloads [][]byte) {
	s.t.Helper()
	p := signatures(s.seed, payloads, sigEntropy)
	for kind, pid := range s.pids {
		f := scan(s.t, pid, p)
		if kind == "signer" {
			delete(f.hits, challenge)
		}
		if f.total()+sum(f.region) > 0 {
			s.outcome.Hits += f.total()
			s.t.Errorf("signatures in the %s: %v", kind, f)
		}
	}
}

// findControl scans a process that takes no care: every class of patterns must
// be found in it, or the scan is blind; and so must masks.
func findControl(t *testing.T) bool {
	t.Helper()
	seed := newSeed()
	keys := keyPatterns(seed)
	p := startScanned(t, scanControl, seed)
	if got := p.line(); got != "ok" {
		t.Fatal(got)
	}
	found, masked, n := map[string]bool{}, 0, freezes(t)
	for range n {
		f := frozen(t, p.cmd.Process.Pid, keys)
		for c := range f.hits {
			found[c] = true
		}
		if f.masks > 0 {
			masked++
		}
	}
	t.Logf("control: %d of %d classes, masks in %d of %d", len(found), len(keys.classes()), masked, n)
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

// TestMemscanText: the search of files finds a signature in every form that it
// could be written in, wherever it begins.
func TestMemscanText(t *testing.T) {
	scanned(t)
	p := signatures(newSeed(), [][]byte{[]byte("m")}, 64)
	sig := slices.Concat(p.bytes...)
	for name, text := range map[string]string{
		"bytes": string(sig), "hex": hex.EncodeToString(sig),
		"base64": base64.StdEncoding.EncodeToString(sig), "base64url": base64.RawURLEncoding.EncodeToString(sig),
	} {
		for before := range 5 {
			b := fmt.Appendf(nil, `{"k":"%s%s"}`, strings.Repeat("0", before), text)
			if got := sum(p.findText(b)); got < len(p.bytes) {
				t.Errorf("%s behind %d: %d of %d pieces found", name, before, got, len(p.bytes))
			}
		}
	}
	if hits := keyPatterns(newSeed()).findText(sig); len(hits) > 0 {
		t.Errorf("pieces of another key: %v", hits)
	}
}

// report writes a line of the result where the script finds it.
func report(t testing.TB, v any) {
	t.Helper()
	line, err := json.Marshal(v)
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
