package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// openReadOnly opens a journal to which no process writes. Unless a process that was
// killed has left a write-ahead log, it writes nothing beside the database either, so
// that the file system may be read-only.
func (j *Journal) openReadOnly(ctx context.Context) (err error) {
	close(j.stopped) // there is no writer
	if j.path, err = locate(j.cfg.Path); err != nil {
		return err
	}
	if _, err := os.Stat(j.path); err != nil {
		return err
	}
	if exists(j.path + copySuffix) {
		return errors.New("a copy of the journal waits to take its place; start once for writing")
	}
	name := dsn(j.path, "query_only(1)") + "&mode=ro"
	if !HasLog(j.path) {
		name += "&immutable=1"
	}
	if j.read, err = sql.Open("sqlite", name); err != nil {
		return err
	}
	j.read.SetMaxOpenConns(readers)
	j.read.SetMaxIdleConns(readers)
	if err := j.checkFile(ctx); err != nil {
		return err
	}
	return j.load(ctx)
}

// checkFile refuses a file that is damaged, or whose schema is not this program's.
func (j *Journal) checkFile(ctx context.Context) error {
	var id, schema int
	if err := j.read.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return unusable(err)
	}
	if err := checkID(id); err != nil {
		return err
	}
	if err := quickCheck(ctx, j.read); err != nil {
		return err
	}
	known, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		return err
	}
	if err := j.read.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&schema); err != nil {
		return err
	}
	if schema != len(known) {
		return fmt.Errorf("the journal has schema %d and this program knows %d; a start for writing brings an older one up to date", schema, len(known))
	}
	return j.read.QueryRowContext(ctx, selectOrigin).Scan(&j.origin)
}

// HasLog reports whether a process that was killed has left a write-ahead log beside the
// database. SQLite then needs to write there, also for reading.
func HasLog(path string) bool {
	info, err := os.Stat(path + walSuffix)
	return err == nil && info.Size() > 0
}
