package keyholder

import (
	"os"
	"slices"
	"strings"

	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/secret"
)

// postureSize is the room for a posture in a ready record, in bytes. With it
// the record of a signer is still smaller than an ML-DSA signature.
const postureSize = 1280

// encodePosture is the text of a posture, zero-padded. What does not fit is left
// out, whole lines from the end: it counts as unknown then.
func encodePosture(p sandbox.Posture) []byte {
	for len(p.Text()) > postureSize {
		p.Probes = p.Probes[:len(p.Probes)-1]
	}
	return append([]byte(p.Text()), make([]byte, postureSize-len(p.Text()))...)
}

func parsePosture(b []byte) (sandbox.Posture, error) {
	p, err := sandbox.ParsePosture(sandbox.Keyholder, strings.TrimRight(string(b), "\x00"))
	if err != nil || len(b) != postureSize {
		return sandbox.Posture{}, errMalformed
	}
	return p, nil
}

// lockDown takes from the child all but its socket and the memory for its keys,
// and returns its whole posture: what it says of its memory, then what it gave
// up. It comes before the keys are drawn, so that what is wrong with it costs
// none.
func lockDown(memory secret.Report, uid int) (sandbox.Posture, error) {
	own := []sandbox.Probe{memoryProbe(memory), computeProbe(), sandbox.Build()}
	return sandbox.Enter(sandbox.Config{Profile: sandbox.Keyholder, UID: uid, Before: own})
}

func memoryProbe(r secret.Report) sandbox.Probe {
	state := sandbox.StateMissing
	switch r.Level {
	case secret.SecretMem:
		state = sandbox.StateOK
	case secret.Locked:
		state = sandbox.StateWeak
	case secret.Plain:
	}
	return sandbox.Measure(sandbox.KeyMemory, state, r.String())
}

func computeProbe() sandbox.Probe {
	if secret.Enabled {
		return sandbox.Measure(sandbox.KeyCompute, sandbox.StateOK, "runtime/secret")
	}
	return sandbox.Measure(sandbox.KeyCompute, sandbox.StateWeak, "the stack is overwritten; built without runtimesecret")
}

// judge decides whether a child may be used: by what it says of itself, by what
// is known of the core, and, since the first is only a statement, by what is
// seen of its threads from outside. The posture gets the measure of the core,
// which is not for a child to take.
func (l *link) judge(p *sandbox.Posture) error {
	if slices.ContainsFunc(p.Probes, func(said sandbox.Probe) bool { return said.ID == sandbox.Core }) {
		return errMalformed
	}
	p.Probes = append(p.Probes, l.cfg.Core)
	if err := p.Require(l.kind, l.cfg.MinGrade); err != nil {
		return err
	}
	for _, seen := range sandbox.Inspect(os.DirFS("/"), l.child.PID, sandbox.Keyholder) {
		if seen.ID == sandbox.Threads && seen.State == sandbox.StateMissing && p.State(sandbox.Seccomp) == sandbox.StateOK {
			l.cfg.Log.Error("a child is not as confined as it says", "kind", l.kind, "seen", seen.Value)
			return errBreach
		}
	}
	return nil
}
