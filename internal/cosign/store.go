package cosign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/receipt"
)

// applicationID marks the file of a cosigner in its SQLite header.
const applicationID = 0x54444331 // "TDC1"

// schema is that of version 1, the only one. The table breaks has for each log the last
// key that waits for a person, or that was approved by one.
const schema = `
CREATE TABLE logs (
	origin TEXT PRIMARY KEY,
	server TEXT NOT NULL,
	size INTEGER NOT NULL CHECK (size > 0),
	root BLOB NOT NULL CHECK (length(root) = 32),
	key BLOB NOT NULL CHECK (length(key) = 32),
	changed INTEGER NOT NULL
) STRICT;
CREATE TABLE keys (
	origin TEXT NOT NULL REFERENCES logs,
	key BLOB NOT NULL CHECK (length(key) = 32),
	PRIMARY KEY (origin, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE breaks (
	origin TEXT PRIMARY KEY REFERENCES logs,
	key BLOB NOT NULL CHECK (length(key) = 32),
	approved INTEGER NOT NULL
) STRICT;
PRAGMA application_id = %d;
PRAGMA user_version = 1;`

// Log is what a cosigner keeps of one log.
type Log struct {
	Origin string
	Server string       // URL that the log is bound to
	Head   receipt.Head // of the newest checkpoint that was cosigned
	Since  time.Time    // when that was

	Waiting  [32]byte // a key that waits for a person's approval; zero if none does
	Approved [32]byte // a key that was approved and is not in use yet; zero if there is none
}

// Refusals of a store.
var (
	// ErrUnknownLog: the cosigner does not know the log.
	ErrUnknownLog = errors.New("this cosigner does not know the log")
	// ErrKnownLog: a log can be added only once.
	ErrKnownLog = errors.New("this cosigner knows the log already; its place can only move forward")
	// ErrOldKey: the key was replaced before.
	ErrOldKey = errors.New("the checkpoint is signed by a key that was replaced")

	errMoved = errors.New("another checkpoint was cosigned meanwhile")
)

// Store keeps the state of a cosigner in a SQLite file. Its methods may be called
// concurrently, also by several processes. A change is durable when its method returns.
type Store struct{ db *sql.DB }

// Create makes the file of a new cosigner. It does not replace a file. If it fails, it removes
// the file that it made, so that it can be called again.
func Create(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	if err = f.Close(); err == nil {
		err = fill(ctx, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// fill makes the tables in an empty file.
func fill(ctx context.Context, path string) error {
	db, err := open(path)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "BEGIN;"+fmt.Sprintf(schema, applicationID)+"COMMIT;")
	return errors.Join(err, db.Close())
}

// Open opens the file that [Create] made. A missing file is an error: a cosigner that
// began again without its memory could sign a second history.
func Open(ctx context.Context, path string) (*Store, error) {
	if err := fsutil.CheckPrivate(path); err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	db, err := open(path)
	if err != nil {
		return nil, err
	}
	var id, version int
	err = db.QueryRowContext(ctx, "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version").Scan(&id, &version)
	if err == nil && (id != applicationID || version != 1) {
		err = errors.New("it is not the state of a cosigner of this version")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s cannot be used: %w", path, err), db.Close())
	}
	return &Store{db}, nil
}

// open opens a database that exists. With synchronous EXTRA a commit is durable before
// it returns, also the end of its rollback journal. The path becomes absolute, because in a
// URL the first directory of a relative one would be read as a host.
func open(path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	q := url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(DELETE)", "synchronous(EXTRA)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
		"mode":    {"rw"},
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Add begins with a log at a checkpoint. The error is [ErrKnownLog] if there is one of
// that origin.
func (s *Store) Add(ctx context.Context, origin, server string, head receipt.Head, now time.Time) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			origin, server, int64(head.Size), head.Root[:], head.Key[:], now.Unix())
		if err := one(done, err, ErrKnownLog); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO keys VALUES (?, ?)", origin, head.Key[:])
		return err
	})
}

const selectLogs = `SELECT logs.origin, server, size, root, logs.key, changed, iif(approved = 0, breaks.key, NULL), iif(approved = 1, breaks.key, NULL)
	FROM logs LEFT JOIN breaks ON breaks.origin = logs.origin`

// Log returns what is kept of a log, or [ErrUnknownLog].
func (s *Store) Log(ctx context.Context, origin string) (Log, error) {
	l, err := scan(s.db.QueryRowContext(ctx, selectLogs+" WHERE logs.origin = ?", origin).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknownLog
	}
	return l, err
}

// Logs returns all logs, in the order of their origins.
func (s *Store) Logs(ctx context.Context) (all []Log, err error) {
	rows, err := s.db.QueryContext(ctx, selectLogs+" ORDER BY logs.origin")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		l, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, rows.Err()
}

func scan(row func(...any) error) (l Log, err error) {
	var root, key, waiting, approved []byte
	var changed int64
	if err := row(&l.Origin, &l.Server, &l.Head.Size, &root, &key, &changed, &waiting, &approved); err != nil {
		return l, err
	}
	l.Since = time.Unix(changed, 0).UTC()
	copy(l.Head.Root[:], root)
	copy(l.Head.Key[:], key)
	copy(l.Waiting[:], waiting)
	copy(l.Approved[:], approved)
	return l, nil
}

// Advance replaces the head of a log if it still is from. Size, root and key change
// together or not at all. The error is [ErrOldKey] if to has a key that was replaced.
func (s *Store) Advance(ctx context.Context, origin string, from, to receipt.Head, now time.Time) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		if to.Key != from.Key {
			done, err := tx.ExecContext(ctx, "INSERT INTO keys VALUES (?, ?) ON CONFLICT DO NOTHING", origin, to.Key[:])
			if err := one(done, err, ErrOldKey); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM breaks WHERE origin = ?", origin); err != nil {
				return err
			}
		}
		done, err := tx.ExecContext(ctx, `UPDATE logs SET size = ?, root = ?, key = ?, changed = ?
			WHERE origin = ? AND size = ? AND root = ? AND key = ? AND size <= ?`,
			int64(to.Size), to.Root[:], to.Key[:], now.Unix(),
			origin, int64(from.Size), from.Root[:], from.Key[:], int64(to.Size))
		return one(done, err, errMoved)
	})
}

// Replaced reports whether a key of a log was replaced by another one. It is also true
// for the present key.
func (s *Store) Replaced(ctx context.Context, origin string, key [32]byte) (found bool, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM keys WHERE origin = ? AND key = ?)", origin, key[:]).Scan(&found)
	return found, err
}

// Wait notes that a key of a log needs approval. It keeps an approval of the same key,
// and of several keys the last one.
func (s *Store) Wait(ctx context.Context, origin string, key [32]byte) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO breaks VALUES (?1, ?2, 0)
			ON CONFLICT DO UPDATE SET key = ?2, approved = 0 WHERE key != ?2 AND approved = 0`, origin, key[:])
		return err
	})
}

// Approve lets a log go on under a key without a hand-over, once.
func (s *Store) Approve(ctx context.Context, origin string, key [32]byte) error {
	if _, err := s.Log(ctx, origin); err != nil {
		return err
	}
	if old, err := s.Replaced(ctx, origin, key); err != nil || old {
		return errors.Join(err, ErrOldKey)
	}
	return s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO breaks VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET key = ?2, approved = 1", origin, key[:])
		return err
	})
}

// Approved reports whether [Store.Approve] was called for this key last.
func (s *Store) Approved(ctx context.Context, origin string, key [32]byte) (found bool, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM breaks WHERE origin = ? AND key = ? AND approved = 1)", origin, key[:]).Scan(&found)
	return found, err
}

// update runs a transaction, which takes the write lock at its beginning.
func (s *Store) update(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// one returns otherwise unless a statement changed one row.
func one(done sql.Result, err, otherwise error) error {
	if err != nil {
		return err
	}
	n, err := done.RowsAffected()
	if err == nil && n != 1 {
		err = otherwise
	}
	return err
}
