package journal

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // with the driver "sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// The mark of a journal in the header of its SQLite file.
const (
	applicationID    = 0x54444a32 // "TDJ2"
	oldApplicationID = 0x54444a31 // "TDJ1", whose leaves had another format
)

const readers = 4 // connections of the read pool

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// openSQLite locks, opens, checks and migrates the file.
func (j *Journal) openSQLite(ctx context.Context) error {
	path, err := lockFile(j)
	if err != nil {
		return err
	}
	sync := j.cfg.synchronous
	if sync == "" {
		sync = "FULL"
	}
	if j.write, err = sql.Open("sqlite", dsn(path, "synchronous("+sync+")", "journal_size_limit(67108864)")); err != nil {
		return err
	}
	j.write.SetMaxOpenConns(1)
	if j.read, err = sql.Open("sqlite", dsn(path, "query_only(1)")); err != nil {
		return err
	}
	j.read.SetMaxOpenConns(readers)
	j.read.SetMaxIdleConns(readers)
	if err := identify(ctx, j.write); err != nil {
		return err
	}
	return migrate(ctx, j.write)
}

// lockFile takes the lock beside the database and creates the database file if
// it is not there. The lock comes first and on a file of its own: closing any
// descriptor of the database file would drop SQLite's own locks on it.
func lockFile(j *Journal) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(j.cfg.Path))
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	path := filepath.Join(dir, filepath.Base(j.cfg.Path))
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	j.lock, err = os.OpenFile(filepath.Clean(path+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	if err := syscall.Flock(int(j.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "", fmt.Errorf("another process has %s open for writing", path)
	}
	return path, createFile(path)
}

// createFile makes an empty database file that only its owner can read, and
// makes its name durable. SQLite gives its other files the same permissions.
func createFile(path string) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// dsn opens a file with the settings of every connection. Temporary tables stay
// in memory: what is in the journal is written to no other directory.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(5000)", "foreign_keys(1)", "temp_store(memory)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// identify refuses a file that is damaged or somebody else's, and turns the
// write-ahead log on.
func identify(ctx context.Context, db *sql.DB) error {
	var id, pages int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return unusable(err)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		return err
	}
	if pages > 0 {
		if err := checkID(id); err != nil {
			return err
		}
	} else { // the mark comes first: a file that has pages without it is another program's
		if _, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return err
		}
	}
	var mode, check string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return errors.New("the file system allows no write-ahead log")
	}
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&check); err != nil {
		return unusable(err)
	}
	if check != "ok" {
		return unusable(errors.New(check))
	}
	return nil
}

// checkID refuses a database by the mark in its header.
func checkID(id int) error {
	switch id {
	case applicationID:
		return nil
	case oldApplicationID:
		return errors.New("an earlier development version wrote this journal and this one cannot read it; keep the data directory and start with a new one")
	default:
		return errors.New("the file is a database, but not a journal")
	}
}

// unusable says what a failure to read the file means to its owner. A start
// that was called off is no failure of the file.
func unusable(err error) error {
	var e *sqlite.Error
	switch known := errors.As(err, &e); {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		known && e.Code()&0xff == sqlitelib.SQLITE_INTERRUPT:
		return fmt.Errorf("the check of the file was called off: %w", err)
	case known && e.Code()&0xff == sqlitelib.SQLITE_NOTADB:
		return fmt.Errorf("the file is not a journal: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// migrate brings the schema up to date and refuses one of a newer version.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("a newer version wrote this journal (schema %d, this program knows %d)", current, target)
	}
	_, err = p.Up(ctx)
	return err
}
