package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/protocol"
)

// administration is the part of the admin surface that is opened before the core confines
// itself.
type administration struct {
	roles  *admin.Roles
	socket net.Listener
	tcp    net.Listener // nil without admin_listen
	tls    *tls.Config  // of tcp
	by     principal.Principal
}

// maxAdminFile bounds the files with authorities and roles, in bytes.
const maxAdminFile = 1 << 20

// openAdmin opens the admin listeners and reads who has which role.
func openAdmin(ctx context.Context, cfg *config.Config, cert *certificate) (_ *administration, err error) {
	if cfg.ReadOnly {
		return nil, nil //nolint:nilnil // there is nothing to administer
	}
	uid := uint32(os.Geteuid())
	a := &administration{roles: admin.NewRoles(uid), by: principal.Principal{Kind: principal.LocalUser, UID: uid}}
	for _, s := range []struct {
		role  principal.Role
		key   string
		names []string
	}{
		{principal.Viewer, "admin_viewers", cfg.AdminViewers},
		{principal.Operator, "admin_operators", cfg.AdminOperators},
		{principal.Commander, "admin_commanders", cfg.AdminCommanders},
	} {
		if err := a.roles.Grant(s.role, s.key, s.names); err != nil {
			return nil, err
		}
	}
	if cfg.AdminListen != "" {
		if err := a.openTCP(ctx, cfg, cert); err != nil {
			return nil, err
		}
	}
	if a.socket, err = admin.Listen(ctx, cfg.Socket, a.roles); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// openTCP opens the admin listener that asks for client certificates.
func (a *administration) openTCP(ctx context.Context, cfg *config.Config, cert *certificate) error {
	var files [2][]byte
	for i, name := range []string{cfg.AdminClientCA, cfg.AdminRoles} {
		if err := CheckOwner(name); err != nil {
			return err
		}
		b, err := fsutil.ReadFile(name, maxAdminFile)
		if err != nil {
			return fault.New(fault.Config, fmt.Sprintf("admin_listen: %v", err), "")
		}
		files[i] = b
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(files[0]) {
		return fault.New(fault.Config, fmt.Sprintf("admin_client_ca: %s holds no certificate in PEM form", cfg.AdminClientCA), "")
	}
	if err := a.roles.GrantCertificates(cfg.AdminRoles, files[1]); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.AdminListen)
	if err != nil {
		return fault.New(fault.Config, fmt.Sprintf("cannot listen on %s: %v", cfg.AdminListen, err), "--admin-listen names another address; port 0 takes any free one")
	}
	a.tcp = l
	a.tls = &tls.Config{
		GetCertificate:         cert.get,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              authorities,
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true, // each connection shows its certificate
	}
	return nil
}

// close closes the listeners, which a server that has run has closed before.
func (a *administration) close() {
	if a == nil {
		return
	}
	for _, l := range []net.Listener{a.socket, a.tcp} {
		if l != nil {
			_ = l.Close() // nothing is lost with it
		}
	}
}

// startAdmin begins to answer requests of the administration.
func (n *node) startAdmin(ctx context.Context) error {
	reader, err := newReader(ctx, n.machine, n.Version)
	if err != nil {
		return err
	}
	s, err := admin.New(ctx, admin.Config{
		Journal:   n.records.journal,
		Control:   n.control,
		Epochs:    n.machine.epochs,
		Gate:      n.machine.gate,
		Alerts:    n.watch,
		Responses: n.watch.responses,
		Anomalies: n.watch.anomalies,
		Host:      &adminHost{reader, n.reload, n.cert, n.build, n.confined},
		Problem:   server.ProblemOf,
		Roles:     n.admin.roles,
		TwoPeople: n.Settings.SecondCommander,
		Bundles:   filepath.Join(n.Settings.Data, datadir.EvidenceDir),
		TLS:       n.admin.tls,
		Log:       n.Log,
		Now:       now,
	})
	if err != nil {
		return err
	}
	n.services.start("administration", func(ctx context.Context) error { return s.Run(ctx, n.admin.socket, n.admin.tcp) })
	return nil
}

// breakGlass thaws everything, if that was asked for at the start.
func (n *node) breakGlass(ctx context.Context) error {
	if n.BreakGlass == "" {
		return nil
	}
	for n.records.journal.Unchecked() { // nothing is thawed before journal and log are equal
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.records.ledger.Diverged():
			return fault.New(fault.Config, "--break-glass: journal and log disagree", "td log audit --data shows what is wrong with the directory")
		case <-time.After(lookEvery / 10):
		}
	}
	ended, err := admin.BreakGlass(ctx, n.records.journal, n.control, now(), n.admin.by, n.BreakGlass)
	if err != nil {
		return fault.New(fault.Config, fmt.Sprintf("--break-glass: %s", protocol.DetailOf(err)), "")
	}
	if ended == 0 {
		n.Log.Warn("nothing is frozen; --break-glass did nothing")
		return nil
	}
	n.Log.Error("everything was thawed by a restart, which is an incident; close it when the reason is known", "holds", ended, "actor", n.admin.by.Actor())
	return nil
}

// adminHost is the server as the administration sees it.
type adminHost struct {
	*reader
	reload   func() error
	cert     *certificate
	build    protocol.Digest
	confined sandbox.Probe
}

// Reload reads the settings and the TLS certificate again.
func (h *adminHost) Reload() (string, error) {
	if err := h.reload(); err != nil {
		return "", protocol.Wrap(protocol.CodeConflict, "something could not be read again and stays as it was; the log of the server says what", err)
	}
	if h.cert == nil {
		return "the settings were read again", nil
	}
	return "the settings were read again; the certificate is valid until " + h.cert.validUntil(), nil
}

// Backup copies the data directory. Where it fails, the actor learns what is wrong.
func (h *adminHost) Backup(ctx context.Context, name string) (admin.BackedUp, error) {
	dir, report, err := datadir.BackupAs(ctx, h.cfg.Data, name, audit.Options{Proofs: true, Pace: datadir.Pace(ctx, backupShare)})
	if told := new(fault.Fault); errors.As(err, &told) {
		err = protocol.Wrap(protocol.CodeConflict, told.What, err)
	}
	if err != nil {
		return admin.BackedUp{}, err
	}
	return admin.BackedUp{Directory: dir, Size: report.Size, Root: report.Root}, nil
}

// backupShare is how much of one processor the check of a backup may use.
const backupShare = 0.25

// Evidence describes this process, the epochs in the log and what was published.
func (h *adminHost) Evidence(ctx context.Context) map[string][]byte {
	files := make(map[string][]byte)
	if cp, ok := h.ledger.Latest(); ok {
		files["checkpoint"] = cp.Note
	}
	files["server.json"], _ = json.MarshalIndent(map[string]any{ // texts and numbers
		"version": h.version, "build": h.build, "go": runtime.Version(), "system": runtime.GOOS + "/" + runtime.GOARCH,
		"pid": os.Getpid(), "uid": os.Getuid(), "core_confined": h.confined.State.String(), "core_measures": h.confined.Value,
	}, "", "  ")
	if epochs, err := h.Epochs(ctx, maxEvidenceEpochs); err == nil {
		files["epochs-in-the-log.json"], _ = json.MarshalIndent(epochs, "", "  ") // as the API shows them
	}
	if rows, err := h.journal.Anomalies(ctx, 0, maxBundled); err == nil {
		all := make([]admin.Anomaly, 0, len(rows))
		for i := range rows {
			all = append(all, describeAnomaly(&rows[i]))
		}
		files["anomalies.json"], _ = json.MarshalIndent(all, "", "  ") // texts and numbers
	}
	return files
}

// maxEvidenceEpochs bounds the epochs in the evidence of an incident, the newest.
const maxEvidenceEpochs = 100
