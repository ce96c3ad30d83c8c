package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
)

// Confine drops the privileges that the core does not need. Call it after
// everything is open that takes privileges to open, and before the first byte of
// a client is read. It returns the measure of the core for the posture of every
// keyholder, and logs what could not be dropped. The attestation is the kind of
// the attestor in use.
func Confine(cfg *config.Config, attestation string, children *process.Launcher, log *slog.Logger) (sandbox.Probe, error) {
	uid, why := CoreUser(cfg, attestation)
	if why != "" {
		log.Warn("core stays root, without capabilities", "why", why)
	}
	if os.Geteuid() == 0 {
		if err := CheckPlace(cfg, uid); err != nil {
			return sandbox.Probe{}, err
		}
		// A core that stays root may do without, on a volume of another user for
		// one; what it cannot use it says when it opens it.
		if err := giveData(cfg.Data, uid); err != nil && uid != 0 {
			return sandbox.Probe{}, fault.New(fault.Config, fmt.Sprintf("the data directory cannot be given to user %d: %v", uid, err), "--data names another one")
		}
	}
	probes, err := sandbox.EnterCore(sandbox.CoreConfig{
		Writable: append([]string{cfg.Data}, treeOf(cfg)...),
		Readable: append(certificateDirs(cfg), settingsFile(cfg)...),
		UID:      uid,
		Launcher: children != nil,
		Closed:   children != nil && children.Closed(),
	})
	if err != nil {
		return sandbox.Probe{}, fmt.Errorf("the server cannot give up its privileges, and does not start with them: %w", err)
	}
	for _, p := range probes {
		if p.State != sandbox.StateOK {
			log.Warn("core not fully confined", "measure", p.ID, "state", p.State.String(), "found", p.Value)
		}
	}
	posture := sandbox.Posture{Probes: probes}
	log.Info("core confined", "state", posture.Probe(sandbox.Core).State.String())
	posture.Log(log, "core")
	data, err := filepath.Abs(cfg.Data) // as the journal is opened
	if err == nil {
		_, err = os.ReadDir(data)
	}
	if err != nil {
		return sandbox.Probe{}, fault.New(fault.Config, fmt.Sprintf("the data directory cannot be read by user %d: %v", os.Getuid(), err),
			"give it to that user, and let it pass through the directories above, or name another one with --data")
	}
	return posture.Probe(sandbox.Core), nil
}

// CheckPlace refuses a configuration file below a data directory whose owner
// becomes the user of the core: the next start as root would refuse it.
func CheckPlace(cfg *config.Config, uid int) error {
	file, err := filepath.Abs(cfg.File())
	data, derr := filepath.Abs(cfg.Data)
	if err := errors.Join(err, derr); err != nil {
		return err
	}
	if uid != 0 && cfg.File() != "" && strings.HasPrefix(file, data+string(filepath.Separator)) {
		return fault.New(fault.Config, fmt.Sprintf("%s is in the data directory, whose owner becomes user %d", file, uid),
			"move it to a directory of root and name it with --config")
	}
	return nil
}

// CoreUser returns the user id that a root core becomes: the one behind those of
// its children. It is 0 if the core stays root or is not root; why says why a
// root core has to stay.
func CoreUser(cfg *config.Config, attestation string) (uid int, why string) {
	uid = cfg.ChildUID + 3
	switch {
	case os.Geteuid() != 0:
		return 0, ""
	case cfg.ChildUID == 0:
		return 0, "child_uid is 0"
	case attestation == attest.WantTSM:
		return 0, "only root may ask the kernel for quotes (attestation tsm)"
	case !sandbox.MayBecome(uid):
		return 0, fmt.Sprintf("this process may not become user %d", uid)
	}
	if err := reachable(NearestExisting(cfg.Data), uid); err != nil {
		return 0, fmt.Sprintf("user %d cannot reach the data directory: %v", uid, err)
	}
	return uid, ""
}

// settingsFile returns the configuration file, which a reload reads again. It is the file
// alone: a file that was put in its place is read at the next start.
func settingsFile(cfg *config.Config) []string {
	if cfg.File() == "" {
		return nil
	}
	return []string{cfg.File()}
}

// treeOf returns where requests for quotes are made, if they may be.
func treeOf(cfg *config.Config) []string {
	if cfg.Attestation == attest.WantTSM || cfg.Attestation == attest.WantAuto {
		return []string{attest.ReportTree}
	}
	return nil
}
