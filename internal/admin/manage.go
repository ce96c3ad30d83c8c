package admin

import (
	"context"
	"path/filepath"
	"time"
	"unicode"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// newKey returns a new key of a client and what is stored of it.
func (q *request) newKey(b *AddKeyRequest) (k principal.Key, r principal.Record, err error) {
	if err := principal.CheckClientID(b.Client); err != nil {
		return k, r, err
	}
	scopes := principal.AllScopes()
	if b.Scopes != "" {
		if scopes, err = principal.ParseScopes(b.Scopes); err != nil {
			return k, r, err
		}
	}
	expires, err := span("expires_ms", b.Expires, time.Second, maxExpiry)
	if err != nil {
		return k, r, err
	}
	k = principal.NewKey()
	r = principal.Record{ID: k.ID(), Digest: k.Digest(), Scopes: scopes}
	if expires > 0 {
		r.Expires = q.now.Add(expires)
	}
	return k, r, nil
}

func (q *request) addClient(b *AddKeyRequest) (*NewKey, error) {
	if b.Overlap != 0 {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "overlap_ms belongs to a further key of a client")
	}
	k, r, err := q.newKey(b)
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
	k, r, err := q.newKey(b)
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

func (q *request) backup(b *BackupRequest) (*BackedUp, error) {
	if err := checkDirectory(b.Directory); err != nil {
		return nil, err
	}
	var made BackedUp
	err := q.audited(b.Directory, func(ctx context.Context) (err error) {
		made, err = q.s.cfg.Host.Backup(ctx, b.Directory)
		return err
	})
	made.Done = *newDone()
	return &made, err
}

// checkDirectory refuses a path that is not absolute and in its shortest form, or that a
// row cannot hold.
func checkDirectory(path string) error {
	ok := filepath.IsAbs(path) && filepath.Clean(path) == path && len(path) <= maxReason
	for _, c := range path {
		ok = ok && !unicode.IsControl(c)
	}
	if !ok {
		return protocol.Failf(protocol.CodeMalformedRequest, "directory is an absolute path of at most %d bytes, in its shortest form", maxReason)
	}
	return nil
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
