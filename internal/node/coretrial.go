package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/sandbox"
)

// trialArgument is the first argument of a process that gives up what a core
// gives up, and prints the result; the others are the user id to become and
// whether its children would be closed from the start.
const trialArgument = "internal-core-trial"

// runCoreTrial runs that process and returns its exit status. It does nothing if the
// arguments are not for it.
func runCoreTrial(args []string) (status int, ok bool) {
	if len(args) != 4 || args[1] != trialArgument {
		return 0, false
	}
	uid, err := strconv.Atoi(args[2])
	closed, cerr := strconv.ParseBool(args[3])
	if err != nil || cerr != nil {
		return fault.Usage, true
	}
	probes, err := sandbox.EnterCore(sandbox.CoreConfig{UID: uid, Launcher: true, Closed: closed})
	if err != nil {
		probes = []sandbox.Probe{sandbox.Measure(sandbox.Core, sandbox.StateMissing, err.Error())}
	}
	core := sandbox.Posture{Probes: probes}.Probe(sandbox.Core)
	_, _ = fmt.Fprint(os.Stdout, sandbox.Posture{Probes: []sandbox.Probe{core}}.Text())
	return fault.OK, true
}

// TryCore returns the measure of a core that was started like this process. The
// process itself gives up nothing.
func TryCore(ctx context.Context, uid int, closed bool) (sandbox.Probe, error) {
	self, err := os.Executable()
	if err != nil {
		return sandbox.Probe{}, err
	}
	out, err := exec.CommandContext(ctx, self, trialArgument, strconv.Itoa(uid), strconv.FormatBool(closed)).Output()
	if err != nil {
		return sandbox.Probe{}, fmt.Errorf("trial of the core: %w", err)
	}
	p, err := sandbox.ParsePosture(sandbox.Keyholder, string(out))
	return p.Probe(sandbox.Core), err
}
