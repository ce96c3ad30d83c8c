package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// Prefix is the path before the name of every action.
const Prefix = "/admin/v1/"

// MaxPath bounds the path of a Unix socket, in bytes: the kernel's limit.
const MaxPath = 107

// CheckPath refuses a path that is too long for a Unix socket.
func CheckPath(path string) error {
	if len(path) <= MaxPath {
		return nil
	}
	return fault.New(fault.Config, fmt.Sprintf("the path of the admin socket has %d bytes, and a Unix socket may have %d: %s", len(path), MaxPath, path),
		"--socket names a shorter one")
}

// Conn calls the administration of one server. It may be used by many goroutines.
type Conn struct{ http http.Client }

// Dial returns a Conn to the server that listens on a Unix socket. It connects at its
// first call. Before anything is sent it verifies that the process at the other end is of
// root, of the own user, or of one of the owners: the owner of the data directory.
func Dial(path string, owners ...uint32) (*Conn, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	owners = append([]uint32{0, uint32(os.Geteuid())}, owners...)
	return newConn(func(ctx context.Context) (net.Conn, error) { return dialTrusted(ctx, path, owners) }), nil
}

// Close closes what is open and not in use. The server bounds the connections of a process.
func (c *Conn) Close() { c.http.CloseIdleConnections() }

func newConn(dial func(context.Context) (net.Conn, error)) *Conn {
	return &Conn{http.Client{
		Transport: &http.Transport{
			DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        idleTimeout / 2, // before the server closes it
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// dialTrusted connects to a socket whose other end belongs to one of some users.
func dialTrusted(ctx context.Context, path string, owners []uint32) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, unreached(path, err)
	}
	peer, err := peerOf(c)
	if err == nil && !slices.Contains(owners, peer.uid) {
		err = fault.New(fault.Denied, fmt.Sprintf("the process behind %s is of user %d, neither of root nor of the owner of the data directory; nothing was sent to it", path, peer.uid), "")
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func unreached(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Denied, fmt.Sprintf("this user may not reach the admin socket %s", path),
			"the user of the server and root may; admin_viewers, admin_operators and admin_commanders admit others")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fault.New(fault.Unavailable, fmt.Sprintf("no server listens on the admin socket %s", path),
			"is it running on this data directory? --data or --socket names another one")
	}
	return fault.New(fault.Unavailable, fmt.Sprintf("the admin socket %s cannot be reached: %v", path, err), "")
}

const dialTimeout = 5 * time.Second

// maxAnswer bounds an answer, in bytes. The longest are pages of rows.
const maxAnswer = 16 << 20

// host stands in URLs. No name is looked up.
const host = "http://admin"

// get calls a reading action, and post another one. An error answer is an [*api.Problem].
func get[A any](ctx context.Context, c *Conn, name string, query url.Values) (*A, error) {
	return call[A](ctx, c, http.MethodGet, name+"?"+query.Encode(), nil)
}

func post[A any](ctx context.Context, c *Conn, name string, request any) (*A, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return call[A](ctx, c, http.MethodPost, name, body)
}

func call[A any](ctx context.Context, c *Conn, method, path string, body []byte) (*A, error) {
	r, err := http.NewRequestWithContext(ctx, method, host+Prefix+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", api.MediaJSON)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, lost(err)
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, lost(err)
	}
	var answer A
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case len(b) > maxAnswer:
		err = errAnswer
	case media == api.MediaProblem:
		var p api.Problem
		if json.Unmarshal(b, &p) == nil && p.Code != protocol.CodeNone {
			return nil, &p
		}
		err = errAnswer
	case media != api.MediaJSON || res.StatusCode != http.StatusOK || json.Unmarshal(b, &answer) != nil:
		err = errAnswer
	}
	if err != nil {
		return nil, err
	}
	return &answer, nil
}

// lost explains an exchange that was interrupted. The action may have been taken.
func lost(err error) error {
	told := new(fault.Fault)
	switch {
	case errors.As(err, &told), errors.Is(err, context.Canceled):
		return err
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fault.New(fault.Unavailable, fmt.Sprintf("the server did not answer to the end: %v", err),
		"whether the request took effect is in td admin audit, and in td admin status")
}

var errAnswer = fault.New(fault.Unavailable, "what answers on the admin socket is no server of this version", "")

// page returns the query of one page.
func page(after string, most int) url.Values {
	q := url.Values{}
	set(q, "after", after)
	if most > 0 {
		q.Set("max", strconv.Itoa(most))
	}
	return q
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

// Status returns the state of the server.
func (c *Conn) Status(ctx context.Context) (*Status, error) {
	return get[Status](ctx, c, "status", nil)
}

// Epochs lists the epochs that have not ended.
func (c *Conn) Epochs(ctx context.Context) (*Epochs, error) {
	return get[Epochs](ctx, c, "epochs", nil)
}

// Claims lists the claims.
func (c *Conn) Claims(ctx context.Context) (*Claims, error) {
	return get[Claims](ctx, c, "claims", nil)
}

// Clients lists the API clients and their keys, without the keys.
func (c *Conn) Clients(ctx context.Context) (*Clients, error) {
	return get[Clients](ctx, c, "clients", nil)
}

// Sessions lists pending requests that a filter selects, after an id; nil for the first
// page. With most 0 the server chooses the length of the page.
func (c *Conn) Sessions(ctx context.Context, f Filter, after *protocol.RequestID, most int) (*Sessions, error) {
	text := ""
	if after != nil {
		text = after.String()
	}
	q := page(text, most)
	f.query(q)
	return get[Sessions](ctx, c, "sessions", q)
}

// query writes the fields that are set.
func (f *Filter) query(q url.Values) {
	if f.ID != nil {
		q.Set("id", f.ID.String())
	}
	if f.Epoch != nil {
		q.Set("epoch", f.Epoch.String())
	}
	if f.Older != 0 {
		q.Set("older_ms", strconv.FormatInt(f.Older, 10))
	}
	set(q, "client", f.Client)
	set(q, "claim", f.Claim)
	set(q, "prover", f.Prover)
}

// Audit lists rows of the audit with ids greater than after.
func (c *Conn) Audit(ctx context.Context, after uint64, most int) (*Audit, error) {
	return get[Audit](ctx, c, "audit", page(strconv.FormatUint(after, 10), most))
}

// Incidents lists the incidents.
func (c *Conn) Incidents(ctx context.Context) (*Incidents, error) {
	return get[Incidents](ctx, c, "incidents", nil)
}

// Freeze holds issuing, acceptance or both.
func (c *Conn) Freeze(ctx context.Context, r FreezeRequest) (*Done, error) {
	return post[Done](ctx, c, "freeze", r)
}

// Thaw ends a hold.
func (c *Conn) Thaw(ctx context.Context, r ThawRequest) (*Done, error) {
	return post[Done](ctx, c, "thaw", r)
}

// Seal ends the log for good.
func (c *Conn) Seal(ctx context.Context, r SealRequest) (*Done, error) {
	return post[Done](ctx, c, "seal", r)
}

// Rotate opens the next epoch.
func (c *Conn) Rotate(ctx context.Context, r RotateRequest) (*Done, error) {
	return post[Done](ctx, c, "rotate", r)
}

// Retire retires a claim for good.
func (c *Conn) Retire(ctx context.Context, r RetireRequest) (*Done, error) {
	return post[Done](ctx, c, "retire", r)
}

// Revoke revokes an epoch for good.
func (c *Conn) Revoke(ctx context.Context, r RevokeRequest) (*Done, error) {
	return post[Done](ctx, c, "revoke", r)
}

// Invalidate ends pending requests.
func (c *Conn) Invalidate(ctx context.Context, r InvalidateRequest) (*Done, error) {
	return post[Done](ctx, c, "invalidate", r)
}

// AddClient makes an API client with its first key.
func (c *Conn) AddClient(ctx context.Context, r AddKeyRequest) (*NewKey, error) {
	return post[NewKey](ctx, c, "clients/add", r)
}

// AddKey makes a further key of an API client.
func (c *Conn) AddKey(ctx context.Context, r AddKeyRequest) (*NewKey, error) {
	return post[NewKey](ctx, c, "clients/key", r)
}

// RevokeKey ends an API key at once.
func (c *Conn) RevokeKey(ctx context.Context, r RevokeKeyRequest) (*Done, error) {
	return post[Done](ctx, c, "clients/revoke-key", r)
}

// DisableClient ends an API client and its keys at once.
func (c *Conn) DisableClient(ctx context.Context, r DisableClientRequest) (*Done, error) {
	return post[Done](ctx, c, "clients/disable", r)
}

// OpenIncident opens an incident and takes the first steps of its runbook.
func (c *Conn) OpenIncident(ctx context.Context, r IncidentRequest) (*IncidentOpened, error) {
	return post[IncidentOpened](ctx, c, "incident/open", r)
}

// CloseIncident closes an incident.
func (c *Conn) CloseIncident(ctx context.Context, r CloseRequest) (*Done, error) {
	return post[Done](ctx, c, "incident/close", r)
}

// VerifyAudit compares the rows of the audit with the leaves of the log.
func (c *Conn) VerifyAudit(ctx context.Context, r VerifyRequest) (*Verified, error) {
	return post[Verified](ctx, c, "audit/verify", r)
}

// Reload reads the settings and the TLS certificate again.
func (c *Conn) Reload(ctx context.Context, r ReloadRequest) (*Done, error) {
	return post[Done](ctx, c, "reload", r)
}

// Backup writes a copy of the data directory into its backups.
func (c *Conn) Backup(ctx context.Context, r BackupRequest) (*BackedUp, error) {
	return post[BackedUp](ctx, c, "backup", r)
}
