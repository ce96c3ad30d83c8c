package journal

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// maxClients bounds the clients, and maxKeys the keys of one, revoked and expired ones
// included.
const (
	maxClients = 100_000
	maxKeys    = 1000
)

// Clients returns the API clients and their keys, as the last committed change left
// them. It costs no query, so each request calls it: what is revoked is refused as soon
// as the revocation is committed.
func (j *Journal) Clients() *principal.Registry { return j.clients.Load() }

// AddClient commits a new client with its first key, of which [principal.Record] needs
// ID, Digest, Scopes and Expires. Refusals: conflict for an id that was used before;
// overloaded if there are too many clients.
func (j *Journal) AddClient(ctx context.Context, now time.Time, r Request, id string, key principal.Record) error {
	if err := principal.CheckClientID(id); err != nil {
		return err
	}
	return j.change(ctx, now, r, func(g *group) error {
		var taken bool
		var last uint64
		g.scan("SELECT EXISTS (SELECT 1 FROM clients WHERE id = ?), coalesce((SELECT max(idx) FROM clients), 0)", []any{id}, &taken, &last)
		switch {
		case taken:
			return protocol.Fail(protocol.CodeConflict, "there is a client of this id, or there was one")
		case last >= min(maxClients, math.MaxUint32):
			return protocol.Failf(protocol.CodeOverloaded, "there are %d clients already", maxClients)
		}
		if err := g.mayAddKey(&key); err != nil {
			return err
		}
		g.exec("INSERT INTO clients (idx, id, created) VALUES (?, ?, ?)", last+1, id, now.UnixMilli())
		g.addKey(now, last+1, &key)
		return nil
	})
}

// AddKey commits a further key of a client. With an overlap, which is how keys are
// rotated, every valid key of the client expires at the latest after that time. Refusals:
// not_found for an id without an enabled client; conflict if two keys of the client
// would stay valid besides the new one; overloaded if the client has too many keys.
func (j *Journal) AddKey(ctx context.Context, now time.Time, r Request, id string, key principal.Record, overlap time.Duration) error {
	return j.change(ctx, now, r, func(g *group) error {
		index, found := g.enabled(id)
		if !found {
			return errNoClient
		}
		var valid, all int
		g.scan("SELECT count(*) FILTER (WHERE revoked = 0 AND (expires = 0 OR expires > ?)), count(*) FROM keys WHERE client = ?",
			[]any{now.UnixMilli(), index}, &valid, &all)
		switch {
		case valid >= 2:
			return protocol.Fail(protocol.CodeConflict, "two keys of the client are valid; revoke one first")
		case all >= maxKeys:
			return protocol.Failf(protocol.CodeOverloaded, "the client has %d keys already", maxKeys)
		}
		if err := g.mayAddKey(&key); err != nil {
			return err
		}
		until := now.Add(max(0, overlap)).UnixMilli()
		g.exec("UPDATE keys SET expires = ?1 WHERE client = ?2 AND revoked = 0 AND (expires = 0 OR expires > ?1)", until, index)
		g.addKey(now, index, &key)
		return nil
	})
}

// RevokeKey commits the end of a key: from then on it is refused. Refusals: not_found,
// conflict for a key that was revoked before.
func (j *Journal) RevokeKey(ctx context.Context, now time.Time, r Request, id principal.KeyID) error {
	return j.change(ctx, now, r, func(g *group) error {
		var revoked bool
		if !g.scan("SELECT revoked <> 0 FROM keys WHERE id = ?", []any{id[:]}, &revoked) {
			return protocol.Fail(protocol.CodeNotFound, "there is no key of this id")
		}
		if revoked {
			return protocol.Fail(protocol.CodeConflict, "the key was revoked before")
		}
		g.exec("UPDATE keys SET revoked = ? WHERE id = ?", now.UnixMilli(), id[:])
		return nil
	})
}

// DisableClient commits the end of a client and of all its keys. Its id is not given to
// another one. Refusal: not_found for an id without an enabled client.
func (j *Journal) DisableClient(ctx context.Context, now time.Time, r Request, id string) error {
	return j.change(ctx, now, r, func(g *group) error {
		index, found := g.enabled(id)
		if !found {
			return errNoClient
		}
		g.exec("UPDATE clients SET disabled = ? WHERE idx = ?", now.UnixMilli(), index)
		g.exec("UPDATE keys SET revoked = ? WHERE client = ? AND revoked = 0", now.UnixMilli(), index)
		return nil
	})
}

var errNoClient = protocol.Fail(protocol.CodeNotFound, "there is no client of this id, or it was disabled")

// change commits a change of the clients with its row.
func (j *Journal) change(ctx context.Context, now time.Time, r Request, apply func(*group) error) error {
	_, err := j.act(ctx, now, &r, func(g *group, _ protocol.Salt) (Entry, error) {
		if err := apply(g); err != nil || g.err != nil {
			return Entry{}, err
		}
		g.registry, g.err = readClients(func(text string) (*sql.Rows, error) { return g.w.query(text) })
		return Entry{}, nil
	})
	return err
}

func (g *group) enabled(id string) (index uint64, found bool) {
	found = g.scan("SELECT idx FROM clients WHERE id = ? AND disabled = 0", []any{id}, &index)
	return index, found
}

func (g *group) mayAddKey(key *principal.Record) error {
	var taken bool
	g.scan("SELECT EXISTS (SELECT 1 FROM keys WHERE id = ? OR digest = ?)", []any{key.ID[:], key.Digest[:]}, &taken)
	if taken {
		return protocol.Fail(protocol.CodeConflict, "there is such a key already; draw another one")
	}
	if key.Scopes.String() == "" {
		return protocol.Fail(protocol.CodeMalformedRequest, "the key allows nothing")
	}
	return nil
}

func (g *group) addKey(now time.Time, index uint64, key *principal.Record) {
	g.exec("INSERT INTO keys (id, client, digest, scopes, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
		key.ID[:], index, key.Digest[:], key.Scopes.String(), now.UnixMilli(), millis(key.Expires))
}

// loadAdministration reads the registry and the number of audit rows. A row that is
// missing between others is damage.
func loadAdministration(ctx context.Context, db *sql.DB) (r *principal.Registry, rows uint64, err error) {
	r, err = readClients(func(query string) (*sql.Rows, error) { return db.QueryContext(ctx, query) })
	if err != nil {
		return nil, 0, err
	}
	var last uint64
	err = db.QueryRowContext(ctx, "SELECT count(*), coalesce(max(id), 0) FROM audit").Scan(&rows, &last)
	if err == nil && rows != last {
		err = unusable(errors.New("audit: a row is missing"))
	}
	return r, rows, err
}

func readClients(query func(string) (*sql.Rows, error)) (*principal.Registry, error) {
	var clients []principal.Client
	err := eachRow(query, "SELECT idx, id, created, disabled FROM clients", func(rows *sql.Rows) error {
		var c principal.Client
		var created, disabled int64
		err := rows.Scan(&c.Index, &c.ID, &created, &disabled)
		c.Created, c.Disabled = moment(created), moment(disabled)
		clients = append(clients, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	var keys []principal.Record
	err = eachRow(query, "SELECT id, client, digest, scopes, created, expires, revoked FROM keys", func(rows *sql.Rows) error {
		var k principal.Record
		var id, digest []byte
		var scopes string
		var created, expires, revoked int64
		err := rows.Scan(&id, &k.Client, &digest, &scopes, &created, &expires, &revoked)
		if err != nil {
			return err
		}
		k.ID, k.Digest = principal.KeyID(id), protocol.Digest(digest)
		k.Created, k.Expires, k.Revoked = moment(created), moment(expires), moment(revoked)
		k.Scopes, err = principal.ParseScopes(scopes)
		keys = append(keys, k)
		return err
	})
	if err != nil {
		return nil, err
	}
	return principal.NewRegistry(clients, keys), nil
}

func eachRow(query func(string) (*sql.Rows, error), text string, row func(*sql.Rows) error) error {
	rows, err := query(text)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// moment is the time of a column in Unix ms, in which 0 stands for none.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
