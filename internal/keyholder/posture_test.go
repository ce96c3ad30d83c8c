package keyholder_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
)

// Both children say where their keys are and what they gave up; the core gets
// it, and sees the same from outside.
func TestPostureOfChildren(t *testing.T) {
	t.Parallel()
	core := sandbox.Measure(sandbox.Core, sandbox.StateOK, "user 65523")
	cfg := keyholder.Config{Starter: process.Direct{Programs: keyholder.Programs(sandbox.FirstUID)}, Core: core}
	signer := startSigner(t, cfg)
	tagger, _ := startTagger(t, cfg)
	for _, c := range []struct {
		kind    string
		posture sandbox.Posture
		pid     int
	}{{"signer", signer.Posture(), signer.Pid()}, {"tagger", tagger.Posture(), tagger.Pid()}} {
		t.Logf("%s: grade %v\n%s", c.kind, c.posture.Grade(), c.posture.Text())
		for _, id := range []string{sandbox.KeyMemory, sandbox.KeyCompute, sandbox.BuildID, sandbox.Seccomp, sandbox.SelfTest} {
			if c.posture.Probe(id).Value == "not measured" {
				t.Errorf("%s says nothing of %s", c.kind, id)
			}
		}
		if last := c.posture.Probes[len(c.posture.Probes)-1]; last != core {
			t.Errorf("%s: the last measure is %v, not that of the core", c.kind, last)
		}
		if os.Geteuid() != 0 || c.posture.Grade() > sandbox.GradeB {
			continue // nothing to see, or no right to look
		}
		for _, probe := range sandbox.Inspect(os.DirFS("/"), c.pid, sandbox.Keyholder) {
			if probe.State != sandbox.StateOK {
				t.Errorf("%s: from outside %s is %s: %s", c.kind, probe.ID, probe.State, probe.Value)
			}
		}
	}
}

// A core that does not say what it has given up may open its children.
func TestPostureOfAnUnknownCore(t *testing.T) {
	t.Parallel()
	s := startSigner(t, keyholder.Config{})
	if p := s.Posture(); p.State(sandbox.Core) != sandbox.StateMissing || p.Grade() < sandbox.GradeB {
		t.Errorf("grade %v, %v", p.Grade(), p.Probe(sandbox.Core))
	}
	_, err := keyholder.StartSigner(t.Context(), keyholder.Config{MinGrade: sandbox.GradeA}, keyholder.SignerStart{Origin: origin, Number: 7})
	if refusal := new(sandbox.Refusal); !errors.As(err, &refusal) {
		t.Errorf("with grade A required: %v", err)
	}
}

// A child that speaks for the core is not believed.
func TestChildCannotSpeakForTheCore(t *testing.T) {
	t.Parallel()
	s, err := keyholder.StartSigner(t.Context(), evilConfig("core is fine"), keyholder.SignerStart{Origin: origin, Number: 7})
	if err == nil || !strings.Contains(err.Error(), "malformed") {
		t.Errorf("StartSigner: %v, %v", s, err)
	}
}

func TestPostureOnTheWire(t *testing.T) {
	p := sandbox.Posture{Profile: sandbox.Keyholder, Probes: []sandbox.Probe{
		sandbox.Measure("a", sandbox.StateOK, "x y  z"), sandbox.Measure("b_c", sandbox.StateUnknown, strings.Repeat("d", 200)),
	}}
	for _, p := range []sandbox.Posture{{Profile: sandbox.Keyholder}, p} {
		if got, err := keyholder.ParsePosture(keyholder.EncodePosture(p)); err != nil || got.Text() != p.Text() {
			t.Errorf("%q came back as %q, %v", p.Text(), got.Text(), err)
		}
	}
	many := sandbox.Posture{Profile: sandbox.Keyholder}
	for c := range 26 {
		many.Probes = append(many.Probes, sandbox.Measure(string(rune('a'+c)), sandbox.StateOK, strings.Repeat("d", 150)))
	}
	got, err := keyholder.ParsePosture(keyholder.EncodePosture(many))
	if err != nil || got.Text() == "" || len(got.Probes) == 26 || !strings.HasPrefix(many.Text(), got.Text()) {
		t.Errorf("of more than there is room for, %d probes came back, %v", len(got.Probes), err)
	}
}

func TestPostureRefusals(t *testing.T) {
	wire := func(text string) []byte {
		b := make([]byte, keyholder.PostureSize)
		copy(b, text)
		return b
	}
	if _, err := keyholder.ParsePosture(wire("a ok b\n")); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"short":          wire("")[1:],
		"no line end":    wire("a ok b"),
		"state":          wire("a fine b\n"),
		"zero in text":   wire("a ok b\x00c\n"),
		"behind padding": append(wire("a ok b\n")[:keyholder.PostureSize-1], 'x'),
	} {
		if p, err := keyholder.ParsePosture(b); err == nil {
			t.Errorf("%s: parsed as %v", name, p)
		}
	}
}
