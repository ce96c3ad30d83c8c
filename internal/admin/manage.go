package admin

import (
	"context"
	"regexp"
	"time"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// Make checks the request, and returns a new key of the client with what is stored of it.
func (r *AddKeyRequest) Make(now time.Time) (k principal.Key, stored principal.Record, err error) {
	if err := principal.CheckClientID(r.Client); err != nil {
		return k, stored, err
	}
	scopes := principal.AllScopes()
	if r.Scopes != "" {
		if scopes, err = principal.ParseScopes(r.Scopes); err != nil {
			return k, stored, err
		}
	}
	expires, err := span("expires_ms", r.Expires, time.Second, maxExpiry)
	if err != nil {
		return k, stored, err
	}
	k = principal.NewKey()
	stored = principal.Record{ID: k.ID(), Digest: k.Digest(), Scopes: scopes}
	if expires > 0 {
		stored.Expires = now.Add(expires)
	}
	return k, stored, nil
}

func (q *request) addClient(b *AddKeyRequest) (*NewKey, error) {
	if b.Overlap != 0 {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "overlap_ms belongs to a further key of a client")
	}
	k, r, err := b.Make(q.now)
	if err != nil {
		return nil, err
	}
	q.recorded = true
	if err := q.s.cfg.Journal.AddClient(q.ctx, q.now, q.row(q.action.name, b.Client), b.Client, r); err != nil {
		return nil, err
	}
	return shown(&k, b.Client), nil
}

func (q *request) addKey(b *AddKeyRequest) (*NewKey, error) {
	overlap, err := span("overlap_ms", b.Overlap, time.Millisecond, maxFor)
	if err != nil {
		return nil, err
	}
	k, r, err := b.Make(q.now)
	if err != nil {
		return nil, err
	}
	q.recorded = true
	if err := q.s.cfg.Journal.AddKey(q.ctx, q.now, q.row(q.action.name, b.Client), b.Client, r, overlap); err != nil {
		return nil, err
	}
	return shown(&k, b.Client), nil
}

// shown returns the only answer that holds the key.
func shown(k *principal.Key, client string) *NewKey {
	return &NewKey{Done: *newDone(), ID: k.ID().String(), Token: string(k.Token(client))}
}

func (q *request) revokeKey(b *RevokeKeyRequest) (*Done, error) {
	id, err := principal.ParseKeyID(b.Key)
	if err != nil {
		return nil, err
	}
	q.recorded = true
	return newDone(), q.s.cfg.Journal.RevokeKey(q.ctx, q.now, q.row(q.action.name, id.String()), id)
}

func (q *request) disableClient(b *DisableClientRequest) (*Done, error) {
	if err := principal.CheckClientID(b.Client); err != nil {
		return nil, err
	}
	q.recorded = true
	return newDone(), q.s.cfg.Journal.DisableClient(q.ctx, q.now, q.row(q.action.name, b.Client), b.Client)
}

func (q *request) reload(*ReloadRequest) (*Done, error) {
	done := newDone()
	return done, q.audited("certificate", func(context.Context) (err error) {
		done.Detail, err = q.s.cfg.Host.Reload()
		return err
	})
}

// backupName is the form of the name of a backup.
var backupName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (q *request) backup(b *BackupRequest) (*BackedUp, error) {
	if !backupName.MatchString(b.Name) {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "name is 1 to 64 of A-Z a-z 0-9 . _ -, and begins with a letter or a digit")
	}
	if !q.s.copying.TryLock() {
		return nil, protocol.Fail(protocol.CodeOverloaded, "a backup is being made already")
	}
	defer q.s.copying.Unlock()
	var made BackedUp
	err := q.audited(b.Name, func(ctx context.Context) (err error) {
		made, err = q.s.cfg.Host.Backup(ctx, b.Name)
		return err
	})
	made.Done = *newDone()
	return &made, err
}

// verifyAudit compares rows and leaves, one such request at a time.
func (q *request) verifyAudit(*VerifyRequest) (*Verified, error) {
	if !q.s.verifying.TryLock() {
		return nil, protocol.Fail(protocol.CodeOverloaded, "the audit is being verified already")
	}
	defer q.s.verifying.Unlock()
	a := &Verified{Problems: []string{}}
	return a, q.audited("", func(ctx context.Context) error {
		report, err := q.s.cfg.Journal.VerifyAudit(ctx)
		if err == nil {
			a.Rows, a.Leaves, a.Problems = report.Rows, report.Leaves, append(a.Problems, report.Problems...)
		}
		return err
	})
}
