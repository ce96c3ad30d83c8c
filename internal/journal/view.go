package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// View reads a journal from another process than the server's, which may be
// writing it. A view takes no lock, writes nothing into the database and starts
// no goroutine. Its methods may be called from any goroutine. When a server
// starts after a kill, or copies its journal, the files of an open view are
// replaced. Its reads may then fail, and it must be opened again.
type View struct {
	j       Journal // only its read pool is set
	schema  int64
	options string // of its connections
}

// OpenView opens an existing journal as it is; [View.Check] reports damaged
// content. A file that is no journal, or one of an earlier development
// version or a newer one, is refused.
func OpenView(ctx context.Context, path string) (*View, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	v, err := openView(ctx, path, "&mode=ro")
	if CauseOf(err) == CauseReadOnly && !exists(path+walSuffix) {
		// SQLite wants to make files beside a journal that is only read. On a medium that
		// nothing can write it does without them.
		v, err = openView(ctx, path, "&mode=ro&immutable=1")
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return v, nil
}

func openView(ctx context.Context, path, options string) (_ *View, err error) {
	v := &View{options: options}
	v.j.path = path
	if v.j.read, err = sql.Open("sqlite", dsn(path, "query_only(1)")+options); err != nil {
		return nil, err
	}
	if err := v.open(ctx); err != nil {
		return nil, errors.Join(explain(path, err), v.Close())
	}
	return v, nil
}

func (v *View) open(ctx context.Context) error {
	var id int
	if err := v.j.read.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return unusable(err)
	}
	if err := checkID(id); err != nil {
		return err
	}
	if err := v.j.read.QueryRowContext(ctx, selectSchema).Scan(&v.schema); err != nil {
		return unusable(err)
	}
	if known := Schema(); v.schema > known {
		return newer(v.schema, known)
	}
	if err := v.j.read.QueryRowContext(ctx, selectOrigin).Scan(&v.j.origin); err != nil {
		return unusable(err)
	}
	return nil
}

// Close closes the view.
func (v *View) Close() error { return v.j.read.Close() }

// Origin is the name of the log.
func (v *View) Origin() string { return v.j.origin }

// CopyTo writes a copy of the journal as it is now to a new file, for its owner only, and
// syncs it. The server may go on writing meanwhile.
func (v *View) CopyTo(ctx context.Context, name string) (err error) {
	if err := tryWrite(name); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(v.j.path)+v.options) // query_only would keep it from writing the copy
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", name); err != nil {
		return explain(name, err)
	}
	return syncFile(name)
}

// Size is the number of entries committed by now.
func (v *View) Size(ctx context.Context) (next uint64, err error) {
	_, err = v.j.row(ctx, "SELECT next FROM counter", nil, &next)
	return next, err
}

// Leaves is [Journal.Leaves].
func (v *View) Leaves(ctx context.Context, from uint64, most int) ([]Entry, error) {
	size, err := v.Size(ctx)
	if err != nil {
		return nil, err
	}
	v.j.told.Store(size)
	return v.j.Leaves(ctx, from, most)
}

// Check runs SQLite's quick check over the whole file, and compares the derived
// tables and the audit rows with the leaves.
func (v *View) Check(ctx context.Context) error {
	if err := quickCheck(ctx, v.j.read); err != nil {
		return explain(v.j.path, err)
	}
	return v.Compare(ctx, nil)
}

// Compare is [View.Check] without SQLite's own check, which cannot be slowed down. It
// calls pace, which may wait, after each row or page of rows.
func (v *View) Compare(ctx context.Context, pace func()) error {
	r := newReplay()
	r.pace = pace
	err := checkDerived(ctx, v.j.read, r)
	if err == nil && v.schema >= schemaAudit {
		err = v.checkAudit(ctx, r.step)
	}
	return explain(v.j.path, err)
}

// checkAudit reports the first problem of [View.VerifyAudit] as damage.
func (v *View) checkAudit(ctx context.Context, pace func()) error {
	report, err := v.j.verifyAudit(ctx, pace)
	if err != nil {
		return unusable(err)
	}
	if len(report.Problems) > 0 {
		return unusable(errors.New("audit: " + report.Problems[0]))
	}
	return nil
}
