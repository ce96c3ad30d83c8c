package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/approval"
	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// Journal records every request and holds the control state. [journal.Journal] has the
// contract of each method.
type Journal interface {
	Refuse(ctx context.Context, now time.Time, r journal.Request, code protocol.Code) error
	Audited(ctx context.Context, now time.Time, r journal.Request, effect func(context.Context) error) error
	Incident(ctx context.Context, now time.Time, r journal.Request, kind uint8) (journal.Entry, error)

	Clients() *principal.Registry
	AddClient(ctx context.Context, now time.Time, r journal.Request, id string, key principal.Record) error
	AddKey(ctx context.Context, now time.Time, r journal.Request, id string, key principal.Record, overlap time.Duration) error
	RevokeKey(ctx context.Context, now time.Time, r journal.Request, id principal.KeyID) error
	DisableClient(ctx context.Context, now time.Time, r journal.Request, id string) error

	State(ctx context.Context) (journal.State, error)
	ClaimLeaves(ctx context.Context) ([]journal.Entry, error)
	AuditRows(ctx context.Context, after uint64, most int) ([]journal.AuditRow, error)
	VerifyAudit(ctx context.Context) (*journal.AuditReport, error)
}

// Manager runs the epochs of the core; see [epochs.Manager].
type Manager interface {
	Status() []epochs.State
	Rotate(ctx context.Context, how epochs.How) (epochs.Rotated, error)
}

// Gate holds the pending requests; see [gate.Gate].
type Gate interface {
	Pending(f gate.Filter, after protocol.RequestID, most int) (page []gate.Pending, more bool)
}

// Host is the server around them.
type Host interface {
	// Status returns the public status. It needs no disk.
	Status(ctx context.Context) (api.Status, error)
	// Reload reads the settings and the TLS certificate again, and describes the result.
	Reload() (string, error)
	// Backup writes a copy of the data directory into its backups.
	Backup(ctx context.Context, name string) (BackedUp, error)
	// Evidence returns files for a bundle of evidence by their names: what can be known of
	// this server, and nothing that is secret.
	Evidence(ctx context.Context) map[string][]byte
}

// Config is what a [Server] needs; every field is required unless it says otherwise.
type Config struct {
	Journal   Journal
	Control   *control.Control // acts, and records what it does or refuses
	Epochs    Manager
	Gate      Gate
	Alerts    Alerts
	Responses Responses
	Anomalies Anomalies
	Host      Host
	Problem   func(error) *api.Problem // the public form of an error
	Roles     *Roles

	// TwoPeople asks for a second commander before a thaw.
	TwoPeople bool

	Bundles string           // directory for the evidence of incidents
	TLS     *tls.Config      // of the TCP listener; nil without one
	Now     func() time.Time // nil means time.Now
	Log     *slog.Logger     // nil: nothing is logged
}

// Server answers the requests of the administration.
type Server struct {
	cfg     Config
	actions map[string]*action
	claims  []Claim // in the log; none is added while a server runs
	started time.Time

	peers    func(net.Conn) (peer, error)
	refusals [2]refusals // of peers without and with a role

	approvals approval.Approvals
	thawing   sync.Mutex // held from the question for a second person until the thaw
	verifying sync.Mutex // held while the audit is compared with the log
	copying   sync.Mutex // held while a backup is made

	record record
}

// New returns a server. It reads the claims and the audit, and starts nothing.
func New(ctx context.Context, cfg Config) (*Server, error) {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, actions: make(map[string]*action), started: cfg.Now().UTC().Truncate(time.Millisecond), peers: peerOf}
	all := actions()
	for i := range all {
		s.actions[all[i].name] = &all[i]
	}
	entries, err := cfg.Journal.ClaimLeaves(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		leaf, err := protocol.ParseLeaf(e.Leaf)
		if err != nil {
			return nil, err
		}
		if c, ok := leaf.Body.(*protocol.ClaimLeaf); ok {
			s.claims = append(s.claims, Claim{ID: c.ClaimID, Index: e.Seq, Fingerprint: protocol.VKFingerprint(c.ClaimID, c.List, c.SRS, c.VK)})
		}
	}
	return s, s.record.catchUp(ctx, cfg.Journal)
}

// Run answers requests on a Unix socket and, if it is not nil, on a TCP listener, until
// ctx ends. It closes both.
func (s *Server) Run(ctx context.Context, unix, tcp net.Listener) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end() // of what is still in work when its time is over
	h := &http.Server{
		Handler:                      s,
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  bodyTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader - 4096, // the library adds 4096 to it
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return context.WithValue(life, lifeKey{}, life) },
		ConnContext:                  withPeer,
		ErrorLog:                     slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	listeners := []net.Listener{s.bound(unix)}
	if tcp != nil {
		listeners = append(listeners, tls.NewListener(s.bound(tcp), s.cfg.TLS))
	}
	served := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { served <- h.Serve(l) }()
	}
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	var err error
	for ctx.Err() == nil && err == nil {
		select {
		case <-ctx.Done():
		case err = <-served:
			err = fmt.Errorf("admin listener: %w", err)
		case <-tick.C:
			s.tick(ctx)
		}
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	if h.Shutdown(grace) != nil {
		_ = h.Close() // what is still open has had its time
	}
	s.flush(grace, true)
	return err
}

// lifeKey is the key of the context that ends with the server.
type lifeKey struct{}

// tick writes the row that counts refused requests, when their window is over.
func (s *Server) tick(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	s.flush(ctx, false)
}

// request is one request and what is known of it.
type request struct {
	s        *Server
	ctx      context.Context
	now      time.Time
	action   *action
	who      principal.Principal
	role     principal.Role
	query    url.Values
	body     []byte
	reason   string
	recorded bool // the journal has been asked for a row
	hasty    bool // the disk is not read, which may hang
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{s: s, ctx: r.Context(), now: s.now(), action: &unknown}
	q.who, q.role = s.identify(r)
	answer, err := s.answer(q, w, r)
	var body []byte
	if err == nil {
		if body, err = json.Marshal(answer); err != nil {
			err = protocol.Wrap(protocol.CodeInternal, "", err)
		}
	}
	media, status := api.MediaJSON, http.StatusOK
	if err != nil {
		s.recordRefusal(q, err)
		p := s.cfg.Problem(err)
		media, status = api.MediaProblem, p.Status
		body, _ = json.Marshal(p) // texts and numbers
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // a recorder of a test has none
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client has left
}

func (s *Server) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Millisecond) }

// answer finds the action of a request, whether its actor may take it, and takes it.
func (s *Server) answer(q *request, w http.ResponseWriter, r *http.Request) (answer any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.cfg.Log.Error("admin handler panicked", "action", q.action.name, "panic", p, "stack", string(debug.Stack()))
			err = protocol.CodeInternal
		}
	}()
	name, below := strings.CutPrefix(r.URL.Path, Prefix)
	found := s.actions[name]
	if found != nil && below {
		q.action = found
	}
	switch {
	case q.role == principal.NoRole:
		return nil, protocol.Fail(protocol.CodeForbidden, "this user or certificate has no role in the administration")
	case found == nil || !below:
		return nil, protocol.Fail(protocol.CodeNotFound, "there is no such action")
	case r.Method != q.action.method:
		return nil, protocol.Fail(protocol.CodeMethodNotAllowed, "this action takes "+q.action.method)
	case q.role < q.action.least:
		return nil, protocol.Failf(protocol.CodeForbidden, "this action needs the role %s, and the actor is %s", q.action.least, q.role)
	}
	if err := q.read(w, r); err != nil {
		return nil, err
	}
	limit := cmp.Or(q.action.limit, workTimeout)
	if q.action.method == http.MethodPost {
		if life, ok := q.ctx.Value(lifeKey{}).(context.Context); ok {
			q.ctx = life // what has begun ends with the server, not with the client
		}
	}
	ctx, cancel := context.WithTimeout(q.ctx, limit)
	defer cancel()
	q.ctx = ctx
	answer, err = q.action.do(q)
	if err != nil || q.action.method == http.MethodGet {
		return answer, err
	}
	if !q.recorded {
		return nil, protocol.Wrap(protocol.CodeInternal, "", errors.New("admin: an action without a row"))
	}
	s.cfg.Log.Info("admin action", "action", q.action.name, "actor", q.who.Actor(), "role", q.role.String())
	return answer, nil
}

// read reads the query, or the body, of a request.
func (q *request) read(w http.ResponseWriter, r *http.Request) (err error) {
	if q.action.method == http.MethodGet {
		if q.query, err = url.ParseQuery(r.URL.RawQuery); err != nil || r.ContentLength != 0 {
			return protocol.Fail(protocol.CodeMalformedRequest, "the query is malformed, or there is a body")
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != api.MediaJSON {
		return protocol.Fail(protocol.CodeUnsupportedMedia, "taken: "+api.MediaJSON)
	}
	if r.URL.RawQuery != "" {
		return protocol.Fail(protocol.CodeMalformedRequest, "this action takes no query")
	}
	q.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return protocol.Failf(protocol.CodeTooLarge, "the body may have at most %d bytes", maxBody)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return protocol.Wrap(protocol.CodeMalformedRequest, "the body did not arrive in time", err)
	case err != nil:
		return protocol.Wrap(protocol.CodeMalformedRequest, "the body could not be read", err)
	}
	return nil
}

// identify returns who makes a request, and their role. An unknown peer has none.
func (s *Server) identify(r *http.Request) (principal.Principal, principal.Role) {
	if r.TLS != nil {
		if len(r.TLS.PeerCertificates) == 0 {
			return principal.Principal{}, principal.NoRole
		}
		digest := protocol.Digest(sha256.Sum256(r.TLS.PeerCertificates[0].Raw))
		return principal.Principal{Kind: principal.Certificate, Cert: digest}, s.cfg.Roles.certificates[digest]
	}
	p, ok := r.Context().Value(peerKey{}).(*peer)
	if !ok {
		return principal.Principal{}, principal.NoRole
	}
	return principal.Principal{Kind: principal.LocalUser, UID: p.uid}, s.cfg.Roles.ofPeer(p)
}

// row returns the audit row of an action about a target.
func (q *request) row(action, target string) journal.Request {
	return journal.Request{Actor: q.who, Role: q.role, Action: action, Target: target, Reason: q.reason}
}

// audited does what has no leaf, after its row.
func (q *request) audited(target string, effect func(context.Context) error) error {
	q.recorded = true
	return q.s.cfg.Journal.Audited(q.ctx, q.now, q.row(q.action.name, target), effect)
}

func newDone() *Done { return &Done{Outcome: OutcomeDone, Leaves: []Leaf{}} }

// known refuses an id that no claim in the log has.
func (s *Server) known(id string) (claim.ID, error) {
	if !slices.ContainsFunc(s.claims, func(c Claim) bool { return c.ID == id }) {
		return "", protocol.Fail(protocol.CodeNotFound, "no claim in the log has this id")
	}
	return claim.ID(id), nil
}

// knownVK refuses a fingerprint that no claim in the log has.
func (s *Server) knownVK(vk protocol.Digest) error {
	if !slices.ContainsFunc(s.claims, func(c Claim) bool { return c.Fingerprint == vk }) {
		return protocol.Fail(protocol.CodeNotFound, "no claim with this fingerprint is in the log")
	}
	return nil
}
