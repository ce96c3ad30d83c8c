package journal

import (
	"cmp"
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

	"github.com/terradourada/td/internal/fsutil"
)

// The application id of a journal in the header of its SQLite file.
const (
	applicationID    = 0x54444a32 // "TDJ2"
	oldApplicationID = 0x54444a31 // "TDJ1", whose leaves had another format

	// copyID is the application id of a complete copy until it is in its place.
	// It distinguishes the copy from a file of that name which a person has put
	// there.
	copyID = 0x54444a63 // "TDJc"
)

const readers = 4 // connections of the read pool

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// pools are the connections to one database file.
type pools struct {
	write *sql.DB // one connection, the writer's
	read  *sql.DB // read-only pool
	last  *sql.DB // one connection, closed last; see openLast
}

// openSQLite locks, recovers, opens, checks and migrates the file.
func (j *Journal) openSQLite(ctx context.Context) error {
	if err := lockFile(j); err != nil {
		return err
	}
	left, err := recoverFiles(j.path)
	if err != nil {
		return err
	}
	before, err := takeChecked(j.path)
	if err != nil {
		return err
	}
	if left == leftNothing {
		j.before = before
	}
	if err := createFile(j.path); err != nil {
		return err
	}
	if err := j.openPools(j.path); err != nil {
		return err
	}
	if err := identify(ctx, j.write); err != nil {
		return err
	}
	if !j.later(ctx) {
		if err := quickCheck(ctx, j.write); err != nil {
			return err
		}
	}
	if err := j.openLast(ctx); err != nil {
		return err
	}
	switch left {
	case leftLog:
		if err := flush(ctx, j.write, "TRUNCATE"); err != nil {
			return fmt.Errorf("the write-ahead log that the last process left cannot be made durable: %w", err)
		}
		j.log.Info("the last process did not close the journal; its write-ahead log is now part of the database")
	case leftUnstored:
		j.broken = true // see start
	}
	return j.migrate(ctx)
}

// openPools opens the connections. They create no file: an empty one of the name of a
// copy would be put in the place of the journal.
func (j *Journal) openPools(path string) (err error) {
	sync := "synchronous(" + cmp.Or(j.cfg.synchronous, "FULL") + ")"
	// SQLite does not report when a checkpoint of its own fails: see checkpoint.
	if j.write, err = sql.Open("sqlite", dsn(path, sync, "wal_autocheckpoint(0)", "journal_size_limit(67108864)")+existing); err != nil {
		return err
	}
	j.write.SetMaxOpenConns(1)
	if j.read, err = sql.Open("sqlite", dsn(path, "query_only(1)")+existing); err != nil {
		return err
	}
	j.read.SetMaxOpenConns(readers)
	j.read.SetMaxIdleConns(readers)
	if j.last, err = sql.Open("sqlite", dsn(path, sync)+existing); err != nil {
		return err
	}
	j.last.SetMaxOpenConns(1)
	j.held, err = os.Stat(path)
	return err
}

func (p *pools) close() error {
	var errs []error
	for _, db := range []*sql.DB{p.read, p.write, p.last} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// openLast opens the connection that is closed last, and makes SQLite keep the
// write-ahead log when it closes. Its descriptors are opened before anything is
// written and are flushed by [Journal.finish] only. So the kernel reports every
// write that failed in between to them, even one that it has reported
// elsewhere.
func (j *Journal) openLast(ctx context.Context) error {
	var n int // the query opens the files
	if err := j.last.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n); err != nil {
		return err
	}
	return j.keepLog(ctx, 1)
}

func (j *Journal) keepLog(ctx context.Context, keep int) error {
	c, err := j.last.Conn(ctx)
	if err != nil {
		return err
	}
	err = c.Raw(func(c any) error {
		f, ok := c.(sqlite.FileControl)
		if !ok {
			return errors.New("the driver controls no files")
		}
		_, err := f.FileControlPersistWAL("main", keep)
		return err
	})
	return errors.Join(err, c.Close())
}

// finish copies the whole write-ahead log into the database, flushes both, and lets
// SQLite remove the log with the last connection. It returns an error if a write
// has failed. It writes once more, because SQLite flushes nothing if the log is
// empty.
func (j *Journal) finish() error {
	if c := j.Condition(); !c.Writable {
		return errors.New(string(c.Cause))
	}
	if _, err := j.touch(); err != nil {
		return err
	}
	j.reset()
	if err := j.read.Close(); err != nil {
		return err
	}
	if err := flush(background, j.last, "PASSIVE"); err != nil {
		return err
	}
	return j.keepLog(background, 0)
}

// flush copies the whole write-ahead log into the database and flushes both.
func flush(ctx context.Context, db *sql.DB, mode string) error {
	var busy, logged, done int
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &logged, &done); err != nil {
		return err
	}
	if busy != 0 || done != logged {
		return errors.New("another process reads the journal")
	}
	return nil
}

// lockFile takes the lock beside the database. The lock comes first and on a file
// of its own: closing any descriptor of the database file would drop SQLite's own
// locks on it.
func lockFile(j *Journal) (err error) {
	if j.path, err = locate(j.cfg.Path); err != nil {
		return err
	}
	if err := j.checkPresent(); err != nil {
		return err
	}
	j.lock, err = os.OpenFile(filepath.Clean(j.path+lockSuffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(j.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return &trouble{CauseLocked, errors.New(j.path)}
	}
	return nil
}

// locate returns the absolute path of a database that may not exist yet, without links.
func locate(path string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	path = filepath.Join(dir, filepath.Base(path))
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path, nil
}

// leastDatabase is the size of the smallest page of SQLite, in bytes. SQLite
// treats a smaller file as a new database and removes the write-ahead log
// beside it.
const leastDatabase = 512

// checkPresent refuses to create a new journal where there was one: beside a
// log that has entries, or beside a write-ahead log that is not empty.
func (j *Journal) checkPresent() error {
	info, err := os.Stat(j.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	wal, werr := os.Stat(j.path + walSuffix)
	if err == nil && info.Size() >= leastDatabase || exists(j.path+copySuffix) {
		return nil
	}
	if j.cfg.MustExist || werr == nil && wal.Size() > 0 {
		return &trouble{CauseMissing, errors.New(j.path)}
	}
	return nil
}

// createFile makes an empty database file that only its owner can read, and
// makes its name durable. SQLite creates its other files with the same
// permissions.
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
	return fsutil.SyncDir(filepath.Dir(path))
}

// existing makes a connection open a file only if there is one.
const existing = "&mode=rw"

// dsn returns the data source name of a file with the settings of every connection.
// Temporary tables stay in memory, so that no other directory is written to.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(5000)", "foreign_keys(1)", "temp_store(memory)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// identify refuses a file that is damaged or of another program, and turns the
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
	} else { // the mark is set first: a file that has pages without it belongs to another program
		if err := mark(ctx, db); err != nil {
			return err
		}
	}
	if err := useWAL(ctx, db); err != nil {
		return err
	}
	if id == copyID {
		if err := mark(ctx, db); err != nil {
			return err
		}
	}
	return nil
}

// mark makes the file a journal: a new one, or a copy that is in its place.
func mark(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	return err
}

func useWAL(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return errors.New("the file system allows no write-ahead log")
	}
	return nil
}

func quickCheck(ctx context.Context, db *sql.DB) error {
	return mustBeOK(db.QueryRowContext(ctx, "PRAGMA quick_check(1)"))
}

// mustBeOK returns an error unless a check of SQLite has found nothing.
func mustBeOK(check *sql.Row) error {
	var found string
	if err := check.Scan(&found); err != nil {
		return unusable(err)
	}
	if found != "ok" {
		return unusable(errors.New(found))
	}
	return nil
}

// checkID refuses a database by the mark in its header.
func checkID(id int) error {
	switch id {
	case applicationID, copyID:
		return nil
	case oldApplicationID:
		return errors.New("an earlier development version wrote this journal and this one cannot read it; keep the data directory and start with a new one")
	default:
		return errors.New("the file is a database, but not a journal")
	}
}

// unusable wraps an error of reading the file. It is [ErrDamaged] only if the
// content is wrong; a cancelled start, or a file that the system refuses to
// read, is not damage.
func unusable(err error) error {
	c := code(err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), c&0xff == sqlitelib.SQLITE_INTERRUPT:
		return fmt.Errorf("the check of the file was cancelled: %w", err)
	case c&0xff == sqlitelib.SQLITE_NOTADB:
		return fmt.Errorf("the file is not a journal: %w", err)
	case c != 0 && c&0xff != sqlitelib.SQLITE_CORRUPT && c != sqlitelib.SQLITE_IOERR_SHORT_READ:
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// schemaAudit is the first schema with audit rows.
const schemaAudit = 2

// selectSchema returns the version of the schema that a file has.
const selectSchema = "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied"

// Schema returns the version of the schema that this program writes.
func Schema() int64 {
	names, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil || len(names) == 0 {
		panic("journal: internal error: no schema is embedded")
	}
	return int64(len(names)) // numbered from 1, see TestSchema
}

// newer returns the error for a journal that a newer version has converted.
func newer(current, known int64) error {
	return &trouble{CauseNewer, fmt.Errorf("its schema is %d, and this program knows %d", current, known)}
}

// migrate brings the schema up to date and refuses one of a newer version.
func (j *Journal) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, j.write, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return newer(current, target)
	}
	if current > 0 && current < target && j.cfg.BeforeUpgrade != nil {
		if err := j.beforeUpgrade(ctx, current, target); err != nil {
			return err
		}
	}
	_, err = p.Up(ctx)
	return err
}

// beforeUpgrade calls the hook of the settings. A journal without an origin holds nothing:
// its first start ended between two conversions.
func (j *Journal) beforeUpgrade(ctx context.Context, current, target int64) error {
	switch err := j.write.QueryRowContext(ctx, selectOrigin).Scan(&j.origin); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("reading the origin: %w", err)
	}
	return j.cfg.BeforeUpgrade(ctx, current, target)
}
