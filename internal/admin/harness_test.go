package admin_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/notify"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
)

// core is everything behind the administration, in memory. It notes each row and each
// effect in order.
type core struct {
	mu       sync.Mutex
	held     bool   // the journal takes no writes
	next     uint64 // index of the next leaf
	state    journal.State
	rows     []journal.AuditRow
	late     []func() // stops that are not written
	done     []string // rows and effects in order
	registry *principal.Registry
	clients  []principal.Client
	keys     []principal.Record
	pending  []gate.Pending
	seal     func() (journal.Entry, error) // commits the seal that was begun
}

var (
	verifyingKey = make([]byte, protocol.VKSize)

	vk1 = protocol.VKFingerprint("open/1", protocol.ListID{}, protocol.Digest{}, verifyingKey)
	vk2 = protocol.VKFingerprint("group/1", protocol.ListID{1}, protocol.Digest{}, verifyingKey)
	vk3 = protocol.VKFingerprint("group/1", protocol.ListID{2}, protocol.Digest{}, verifyingKey)

	epochID = protocol.EpochID{7}
)

func newCore() *core {
	return &core{
		next: 10, state: journal.State{By: map[journal.Hold]journal.Entry{}}, registry: principal.NewRegistry(nil, nil),
		pending: []gate.Pending{
			{Request: protocol.RequestID{1}, Claim: "open/1", VK: vk1, Epoch: epochID, Prover: gate.ClientProver},
			{Request: protocol.RequestID{2}, Claim: "open/1", VK: vk1, Epoch: epochID, Prover: gate.LocalProver},
			{Request: protocol.RequestID{3}, Claim: "group/1", VK: vk2, Epoch: epochID, Prover: gate.ClientProver},
		},
	}
}

func (c *core) note(format string, args ...any) {
	c.done = append(c.done, fmt.Sprintf(format, args...))
}

var errHeld = protocol.Fail(protocol.CodeLedgerUnavailable, "the journal cannot be written")

// row writes a row. The lock is held.
func (c *core) row(now time.Time, r journal.Request, outcome journal.Outcome, code string, seq *uint64) uint64 {
	id := uint64(len(c.rows) + 1)
	c.rows = append(c.rows, journal.AuditRow{
		ID: id, Time: now, Actor: r.Actor.Actor(), Role: r.Role.String(), Action: r.Action, Target: r.Target,
		Reason: r.Reason, Outcome: outcome, Code: code, Seq: seq,
	})
	c.note("row %s %s", r.Action, outcome)
	return id
}

func (c *core) Refuse(_ context.Context, now time.Time, r journal.Request, code protocol.Code) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		return errHeld
	}
	c.row(now, r, journal.Refused, code.String(), nil)
	return nil
}

func (c *core) Audited(ctx context.Context, now time.Time, r journal.Request, effect func(context.Context) error) error {
	c.mu.Lock()
	if c.held {
		c.mu.Unlock()
		return errHeld
	}
	id := c.row(now, r, journal.Requested, "", nil)
	c.mu.Unlock()
	err := effect(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows[id-1].Outcome = journal.Done
	if err != nil {
		c.rows[id-1].Outcome, c.rows[id-1].Code = journal.Refused, protocol.CodeOf(err).String()
	}
	return err
}

// act writes a leaf and its row. The lock is held.
func (c *core) act(now time.Time, r journal.Request, outcome journal.Outcome, effect func(e journal.Entry) error) (journal.Entry, error) {
	e := journal.Entry{Seq: c.next, Leaf: []byte{1}}
	if err := effect(e); err != nil {
		c.row(now, r, journal.Refused, protocol.CodeOf(err).String(), nil)
		return journal.Entry{}, err
	}
	c.next++
	e.Row = c.row(now, r, outcome, "", &e.Seq)
	return e, nil
}

func (c *core) apply(ctl protocol.Control) func(journal.Entry) error {
	return func(e journal.Entry) error {
		issue, accept := journal.Hold{Operation: journal.Issue, VK: ctl.Target}, journal.Hold{Operation: journal.Accept, VK: ctl.Target}
		switch ctl.Action {
		case protocol.ActionFreezeIssue:
			c.freeze(issue, e)
		case protocol.ActionFreezeAccept:
			c.freeze(accept, e)
		case protocol.ActionThawIssue, protocol.ActionThawAccept:
			h := issue
			if ctl.Action == protocol.ActionThawAccept {
				h = accept
			}
			c.state.Holds = slices.DeleteFunc(c.state.Holds, func(x journal.Hold) bool { return x == h })
			delete(c.state.By, h)
		case protocol.ActionSeal:
			c.state.Sealed = true
		case protocol.ActionRetireVK:
			if ctl.Target != vk1 {
				return protocol.Fail(protocol.CodeNotFound, "no claim with this fingerprint is in the log")
			}
			c.state.Retired = append(c.state.Retired, ctl.Target)
		}
		return nil
	}
}

func (c *core) freeze(h journal.Hold, by journal.Entry) {
	if !slices.Contains(c.state.Holds, h) {
		c.state.Holds = append(c.state.Holds, h)
	}
	if _, held := c.state.By[h]; !held {
		c.state.By[h] = by
	}
}

func (c *core) Control(_ context.Context, now time.Time, r journal.Request, all ...protocol.Control) (entries []journal.Entry, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		return nil, errHeld
	}
	for _, ctl := range all {
		e, err := c.act(now, r, journal.Done, c.apply(ctl))
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

var errNotDurable = protocol.Wrap(protocol.CodeLedgerUnavailable, journal.ErrNotDurable.Error(), journal.ErrNotDurable)

func (c *core) Stop(_ context.Context, now time.Time, r journal.Request, all ...protocol.Control) (entries []journal.Entry, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ctl := range all {
		e, one := c.stop(now, r, ctl)
		entries, err = append(entries, e), cmp.Or(err, one)
	}
	return entries, err
}

// stop does what Stop does for one action. The lock is held.
func (c *core) stop(now time.Time, r journal.Request, ctl protocol.Control) (journal.Entry, error) {
	if !c.held {
		return c.act(now, r, journal.Done, c.apply(ctl))
	}
	c.note("held %s", ctl.Action)
	if h := (journal.Hold{Operation: journal.Issue, VK: ctl.Target}); ctl.Action == protocol.ActionFreezeIssue {
		c.state.Holds = append(c.state.Holds, h)
	}
	if h := (journal.Hold{Operation: journal.Accept, VK: ctl.Target}); ctl.Action == protocol.ActionFreezeAccept {
		c.state.Holds = append(c.state.Holds, h)
	}
	c.state.NotDurable++
	c.late = append(c.late, func() { _, _ = c.act(now, r, journal.NotDurable, c.apply(ctl)) })
	return journal.Entry{}, errNotDurable
}

// BeginSeal notes whose seal it is. What follows is the manager's.
func (c *core) BeginSeal(now time.Time, r journal.Request) (*journal.Sealing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Sealed {
		return nil, protocol.Fail(protocol.CodeFrozen, "the log is sealed for good")
	}
	c.seal = func() (journal.Entry, error) { return c.stop(now, r, protocol.Control{Action: protocol.ActionSeal}) }
	return nil, nil //nolint:nilnil // the manager of these tests asks it for nothing
}

func (c *core) Unchecked() bool { return false }

func (c *core) ThawEnded(context.Context, time.Time) ([]journal.Entry, error) { return nil, nil }

// release lets the journal take writes again.
func (c *core) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held, c.state.NotDurable = false, 0
	for _, write := range c.late {
		write()
	}
	c.late = nil
}

func (c *core) Incident(_ context.Context, now time.Time, r journal.Request, _ uint8) (journal.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		return journal.Entry{}, errHeld
	}
	return c.act(now, r, journal.Done, func(journal.Entry) error { return nil })
}

func (c *core) Clients() *principal.Registry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.registry
}

func (c *core) change(now time.Time, r journal.Request, effect func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		return errHeld
	}
	err := effect()
	outcome, code := journal.Done, ""
	if err != nil {
		outcome, code = journal.Refused, protocol.CodeOf(err).String()
	}
	c.row(now, r, outcome, code, nil)
	c.registry = principal.NewRegistry(slices.Clone(c.clients), slices.Clone(c.keys))
	return err
}

func (c *core) AddClient(_ context.Context, now time.Time, r journal.Request, id string, key principal.Record) error {
	return c.change(now, r, func() error {
		index := uint32(len(c.clients) + 1)
		c.clients = append(c.clients, principal.Client{Index: index, ID: id, Created: now})
		key.Client = index
		c.keys = append(c.keys, key)
		return nil
	})
}

func (c *core) AddKey(_ context.Context, now time.Time, r journal.Request, id string, key principal.Record, _ time.Duration) error {
	return c.change(now, r, func() error { return c.exists(id) })
}

func (c *core) RevokeKey(_ context.Context, now time.Time, r journal.Request, id principal.KeyID) error {
	return c.change(now, r, func() error {
		for i := range c.keys {
			if c.keys[i].ID == id {
				c.keys[i].Revoked = now
				return nil
			}
		}
		return protocol.Fail(protocol.CodeNotFound, "there is no key of this id")
	})
}

func (c *core) DisableClient(_ context.Context, now time.Time, r journal.Request, id string) error {
	return c.change(now, r, func() error { return c.exists(id) })
}

func (c *core) exists(id string) error {
	if !slices.ContainsFunc(c.clients, func(x principal.Client) bool { return x.ID == id }) {
		return protocol.Fail(protocol.CodeNotFound, "there is no client of this id")
	}
	return nil
}

func (c *core) State(context.Context) (journal.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state
	s.Holds, s.By = slices.Clone(s.Holds), map[journal.Hold]journal.Entry{}
	for h, e := range c.state.By {
		s.By[h] = e
	}
	return s, nil
}

func (c *core) ClaimLeaves(context.Context) ([]journal.Entry, error) {
	var all []journal.Entry
	for i, list := range []protocol.ListID{{}, {1}, {2}} {
		id := "group/1"
		if i == 0 {
			id = "open/1"
		}
		leaf := protocol.Leaf{Seq: uint64(i), Body: &protocol.ClaimLeaf{ClaimID: id, List: list, VK: verifyingKey}}
		b, err := leaf.Encode()
		if err != nil {
			return nil, err
		}
		all = append(all, journal.Entry{Seq: uint64(i), Leaf: b})
	}
	return all, nil
}

func (c *core) AuditRows(_ context.Context, after uint64, most int) ([]journal.AuditRow, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rows := c.rows[min(after, uint64(len(c.rows))):]
	return slices.Clone(rows[:min(most, len(rows))]), nil
}

func (c *core) VerifyAudit(context.Context) (*journal.AuditReport, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note("effect verify")
	return &journal.AuditReport{Rows: uint64(len(c.rows))}, nil
}

func (c *core) effect(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note("effect %s", what)
}

// manager, gateOf and host are the other parts.
type (
	manager   struct{ *core }
	gateOf    struct{ *core }
	host      struct{ *core }
	alerts    struct{ *core }
	responses struct{ *core }
)

// anomalies are the verdicts of a server that has none.
type anomalies struct{ *core }

func (a anomalies) Anomalies(context.Context, time.Time, uint64, int) (*admin.AnomalyList, error) {
	return &admin.AnomalyList{Anomalies: []admin.Anomaly{}}, nil
}

func (a anomalies) Anomaly(context.Context, time.Time, uint64) (*admin.Anomaly, error) {
	return nil, protocol.CodeNotFound
}

func (a anomalies) AnomalyFeedback(context.Context, time.Time, uint64, string) error {
	a.effect("anomaly feedback")
	return nil
}

func (r responses) Responses(time.Time) admin.ResponseList { return admin.ResponseList{} }

func (r responses) Lift(time.Time, limit.Subject) error {
	r.effect("lift")
	return nil
}

func (a alerts) Alerts(time.Time) admin.AlertList { return admin.AlertList{} }

func (a alerts) AlertState() admin.AlertState {
	return admin.AlertState{Notifier: admin.NotifierNone}
}

func (a alerts) Cosigners() []admin.Cosigner { return []admin.Cosigner{} }

func (a alerts) Rules() []watch.Rule { return watch.Rules() }

func (a alerts) CheckSilence(now time.Time, s watch.Silence) error {
	return watch.New(now, watch.Options{}).Check(now, &s)
}

func (a alerts) Silence(_ time.Time, s watch.Silence) (watch.Silence, error) {
	a.effect("silence")
	return s, nil
}

func (a alerts) Unsilence(string) error {
	a.effect("unsilence")
	return nil
}

func (a alerts) Feedback(string, string) error {
	a.effect("feedback")
	return nil
}

func (a alerts) Sinks(context.Context) ([]notify.Sink, error) { return nil, nil }

func (a alerts) AddSink(context.Context, string, string) (id, secret string, err error) {
	a.effect("add sink")
	return "0011", "whsec_", nil
}

func (a alerts) RemoveSink(context.Context, string) error {
	a.effect("remove sink")
	return nil
}

func (a alerts) TestSink(context.Context, time.Time, string) error {
	a.effect("test sink")
	return nil
}

func (m manager) Status() []epochs.State {
	return []epochs.State{{Number: 1, ID: epochID, Phase: lifecycle.EpochActive, Pending: 3}}
}

func (m manager) Rotate(_ context.Context, how epochs.How) (epochs.Rotated, error) {
	m.effect(map[epochs.How]string{epochs.Drain: "drain", epochs.Now: "now"}[how])
	return epochs.Rotated{Number: 1, ID: epochID}, nil
}

func (m manager) EndAll() (await func(context.Context) (epochs.Rotated, error)) {
	m.effect("now")
	return func(context.Context) (epochs.Rotated, error) { return epochs.Rotated{Number: 1, ID: epochID}, nil }
}

// Seal seals without a drain.
func (m manager) Seal(context.Context, epochs.Seal) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := m.seal()
	if err != nil {
		return 0, protocol.Wrap(protocol.CodeDraining, "the log is not sealed yet", err)
	}
	return e.Seq, nil
}

func (g gateOf) Pending(f gate.Filter, after protocol.RequestID, most int) ([]gate.Pending, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []gate.Pending
	for _, p := range g.pending {
		if slices.Compare(p.Request[:], after[:]) > 0 && matches(&f, &p) {
			all = append(all, p)
		}
	}
	return all[:min(most, len(all))], len(all) > most
}

func (g gateOf) Invalidate(f gate.Filter) gate.Invalidated {
	g.effect("invalidate")
	g.mu.Lock()
	defer g.mu.Unlock()
	var n gate.Invalidated
	for _, p := range g.pending {
		if matches(&f, &p) {
			n.Ended++
		}
	}
	return n
}

func matches(f *gate.Filter, p *gate.Pending) bool {
	return (f.Request == protocol.RequestID{} || f.Request == p.Request) && (f.Claim == "" || f.Claim == p.Claim) &&
		(f.Epoch == protocol.EpochID{} || f.Epoch == p.Epoch) && (f.Prover == "" || f.Prover == p.Prover) &&
		(f.VK == protocol.Digest{} || f.VK == p.VK) && (f.Client == nil || *f.Client == p.Client)
}

func (h host) Status(context.Context) (api.Status, error) {
	return api.Status{Origin: "test", Holds: []api.Hold{}}, nil
}

func (h host) Reload() (string, error) {
	h.effect("reload")
	return "valid", nil
}

func (h host) Backup(context.Context, string) (admin.BackedUp, error) {
	h.effect("backup")
	return admin.BackedUp{Directory: "/backups/x", Size: 3}, nil
}

func (h host) Evidence(context.Context) map[string][]byte {
	return map[string][]byte{"server.json": []byte("{}")}
}

// newControl returns what acts on the parts. The claims are those of the leaves.
func newControl(j control.Journal, e control.Epochs, g control.Gate, diverged <-chan struct{}) *control.Control {
	return control.New(control.Config{
		Journal: j, Epochs: e, Gate: g, Diverged: diverged, Log: slog.New(slog.DiscardHandler),
		Claims: map[claim.ID][]protocol.Digest{claim.Open: {vk1}, claim.Group: {vk2, vk3}},
	})
}

// The users of the tests, by role.
var users = map[principal.Role]uint32{principal.NoRole: 4000, principal.Viewer: 1000, principal.Operator: 2000, principal.Commander: 3000}

// world is an administration that runs.
type world struct {
	*core
	t      *testing.T
	s      *admin.Server
	socket string
	addr   string
	uid    atomic.Uint32                 // of later connections over the socket
	next   atomic.Pointer[func() uint32] // names it instead, if there is one
	clock  atomic.Int64                  // ms
	ca     *authority
	certs  map[principal.Role]*tls.Certificate
	stop   func()
}

// start runs an administration over a core until the test ends.
func start(t *testing.T, c *core, change func(*admin.Config)) *world {
	t.Helper()
	w := &world{core: c, t: t, ca: newAuthority(t), certs: make(map[principal.Role]*tls.Certificate)}
	w.clock.Store(1_800_000_000_000)
	roles := admin.NewRoles(users[principal.Commander])
	var lines []byte
	for role, uid := range users {
		cert := w.ca.issue(t, role.String())
		w.certs[role] = cert
		if role == principal.NoRole {
			continue
		}
		if err := roles.Grant(role, "test", []string{fmt.Sprintf("user:%d", uid)}); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(cert.Certificate[0])
		lines = fmt.Appendf(lines, "%s %s\n", hex.EncodeToString(sum[:]), role)
	}
	if err := roles.GrantCertificates("test", lines); err != nil {
		t.Fatal(err)
	}
	cfg := admin.Config{
		Journal: c, Control: newControl(c, manager{c}, gateOf{c}, nil), Epochs: manager{c}, Gate: gateOf{c}, Alerts: alerts{c}, Responses: responses{c}, Anomalies: anomalies{c}, Host: host{c}, Problem: server.ProblemOf, Roles: roles,
		Bundles: filepath.Join(t.TempDir(), "evidence"), Now: func() time.Time { return time.UnixMilli(w.clock.Load()) },
		TLS: &tls.Config{Certificates: []tls.Certificate{*w.ca.issue(t, "server")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: w.ca.pool, MinVersion: tls.VersionTLS13},
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if w.s, err = admin.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	w.s.SetPeer(func() (uint32, uint32, []uint32) {
		if next := w.next.Load(); next != nil {
			return (*next)(), 65534, nil
		}
		return w.uid.Load(), 65534, nil
	})
	w.socket = filepath.Join(t.TempDir(), "s")
	local, err := admin.Listen(t.Context(), w.socket, roles)
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	tcp, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = tcp.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.s.Run(ctx, local, tcp) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

// as returns a client of a user with a role, over the socket.
func (w *world) as(role principal.Role) *admin.Conn {
	w.t.Helper()
	w.uid.Store(users[role])
	c, err := admin.Dial(w.socket)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// over returns a client with a certificate of a role, over TCP.
func (w *world) over(role principal.Role) *admin.Conn {
	c := admin.DialTLS(w.addr, &tls.Config{Certificates: []tls.Certificate{*w.certs[role]}, RootCAs: w.ca.pool, ServerName: "server", MinVersion: tls.VersionTLS13})
	w.t.Cleanup(c.Close)
	return c
}

// pass lets time pass.
func (w *world) pass(d time.Duration) { w.clock.Add(d.Milliseconds()) }

// take returns the rows and effects since the last call.
func (c *core) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := c.done
	c.done = nil
	return done
}

func (c *core) lastRow() journal.AuditRow {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.rows) == 0 {
		return journal.AuditRow{}
	}
	return c.rows[len(c.rows)-1]
}

// want checks the code of an error.
func want(t *testing.T, what string, err error, code protocol.Code) {
	t.Helper()
	if code == protocol.CodeNone && err == nil {
		return
	}
	if !errors.Is(err, code) {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) issue(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
