package journal

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// Condition describes whether the journal can be written, and if not, since when
// and why. A full queue and a stopped writer are not part of it.
type Condition struct {
	Writable bool
	Since    time.Time // of the first failure since the journal could be written; zero while it can be
	Cause    Cause     // of the latest failure; CauseNone while it can be written
}

// Condition returns the present condition. It costs no query.
func (j *Journal) Condition() Condition {
	if c := j.condition.Load(); c != nil {
		return *c
	}
	return Condition{Writable: true}
}

// Cause is the reason why a journal cannot be opened or written, in a few words.
// The set is closed.
type Cause string

// The causes.
const (
	CauseNone     Cause = ""
	CauseDevice   Cause = "the device failed"
	CauseFull     Cause = "the file system is full"
	CauseInodes   Cause = "the file system has no free inodes"
	CauseReadOnly Cause = "the file system is read-only"
	CauseDenied   Cause = "this user may not write there"
	CauseLocked   Cause = "another process has the journal open for writing"
	CauseForeign  Cause = "another program has written to the journal"
	CauseMissing  Cause = "the journal is missing beside a log that has entries"
	CauseDamaged  Cause = "the file is damaged"

	CauseNewer     Cause = "a newer version wrote this journal"
	CauseStrayCopy Cause = "a file has the name of the server's copy and is not one"
)

// Remedy returns what an operator can do about the cause; "" for CauseNone.
func (c Cause) Remedy() string {
	switch c {
	case CauseNone:
		return ""
	case CauseDevice:
		return "look for errors of the disk in the kernel's log; the server recovers by itself once it has written and verified a copy of the journal"
	case CauseFull:
		return "make room: the server needs as much free space as the journal is large if a write has failed"
	case CauseInodes:
		return "remove files: the file system has room, but cannot hold another file"
	case CauseReadOnly:
		return "mount the file system for writing; if an error made it read-only, check it first"
	case CauseDenied:
		return "make the user that runs td serve the owner of the directory and of the files in it"
	case CauseLocked:
		return "stop the other server, or name another directory with --data"
	case CauseForeign:
		return "find out which program writes to the journal, then restart the server"
	case CauseMissing:
		return "put the newest journal back, or name the right directory with --data; for a new log, use an empty directory"
	case CauseNewer:
		return "start the newer version again; the copy that it made before it converted the journal is in backups/, if nothing was accepted since: see docs/UPGRADING.md"
	case CauseStrayCopy:
		return "move the file away: the server makes one of that name after a failed write, and starts from it"
	case CauseDamaged:
		return "keep the directory as it is, put no older copy in its place, and see docs/operate.md"
	}
	return ""
}

// lasting reports whether retrying every few seconds is pointless.
func (c Cause) lasting() bool {
	return c == CauseReadOnly || c == CauseDenied || c == CauseDamaged || c == CauseStrayCopy
}

// CauseOf returns the cause of an error of Open, OpenView or Check, or CauseNone if
// the error is not about the state of the files.
func CauseOf(err error) Cause {
	if t := new(trouble); errors.As(err, &t) {
		return t.cause
	}
	if errors.Is(err, ErrDamaged) {
		return CauseDamaged
	}
	return CauseNone
}

// trouble is an error with its cause.
type trouble struct {
	cause Cause
	err   error
}

// Error returns the cause, then the error.
func (t *trouble) Error() string { return string(t.cause) + ": " + t.err.Error() }

// Unwrap returns the error without its cause.
func (t *trouble) Unwrap() error { return t.err }

// explain adds the cause to an error, if it can be determined and is not there yet.
func explain(path string, err error) error {
	if err == nil || CauseOf(err) != CauseNone {
		return err
	}
	if c := causeOf(path, err); c != CauseNone {
		return &trouble{c, err}
	}
	return err
}

// causeOf determines the cause of an error of the file system or of SQLite. Errors
// of SQLite do not contain the error of the system, so the system is asked again.
func causeOf(path string, err error) Cause {
	if t := new(trouble); errors.As(err, &t) {
		return t.cause
	}
	switch {
	case errors.Is(err, errForeign):
		return CauseForeign
	case errors.Is(err, ErrDamaged):
		return CauseDamaged
	case errors.Is(err, syscall.EROFS):
		return CauseReadOnly
	case errors.Is(err, fs.ErrPermission):
		return CauseDenied
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return cmp.Or(lacking(path), CauseFull)
	case errors.Is(err, syscall.EIO):
		return CauseDevice
	}
	switch code(err) & 0xff {
	case sqlitelib.SQLITE_FULL:
		return cmp.Or(lacking(path), CauseFull)
	case sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_PERM:
		return refused(path)
	}
	return CauseNone
}

// code returns the extended result code of SQLite in err, 0 if there is none.
func code(err error) int {
	if e := new(sqlite.Error); errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// lacking returns CauseInodes or CauseFull if the file system has no free inodes or
// no free space, else CauseNone.
func lacking(path string) Cause {
	var s unix.Statfs_t
	switch err := unix.Statfs(filepath.Dir(path), &s); {
	case err != nil:
		return CauseNone
	case s.Files > 0 && s.Ffree == 0:
		return CauseInodes
	case s.Bavail == 0:
		return CauseFull
	}
	return CauseNone
}

// refused returns why the files of a journal may not be written: CauseDevice if
// nothing else is known.
func refused(path string) Cause {
	for _, name := range []string{filepath.Dir(path), path, path + walSuffix, path + shmSuffix} {
		switch err := unix.Access(name, unix.W_OK); {
		case errors.Is(err, syscall.EROFS):
			return CauseReadOnly
		case errors.Is(err, fs.ErrPermission):
			return CauseDenied
		}
	}
	return cmp.Or(lacking(path), CauseDevice)
}

// harmless reports whether a failed operation certainly wrote nothing that a later
// flush could miss: the system took no byte (full), another process held the lock,
// or SQLite refused a row. See decision 0021.
func harmless(err error) bool {
	switch code(err) & 0xff {
	case sqlitelib.SQLITE_FULL, sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_CONSTRAINT:
		return true
	}
	return errors.Is(err, errForeign)
}
