package ledger

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Condition is how the log follows the journal.
type Condition struct {
	Size   uint64    // entries that the published checkpoint covers, of an earlier process perhaps
	Behind uint64    // rows that are committed and not in the log
	Since  time.Time // when it began to fail, and has not succeeded since; zero if it does not fail
	Err    string    // the kind of failure, in words; empty if it does not fail
}

// Condition returns the present one.
func (l *Ledger) Condition() Condition {
	behind := l.Lag()
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.growing
	if t.kind == "" {
		t = l.publishing
	}
	return Condition{Size: l.publishedSize, Behind: behind, Since: t.since, Err: t.kind}
}

// trouble is a failure that is tried again; the zero value is none.
type trouble struct {
	since time.Time
	kind  string
}

// note records the outcome of an attempt, and logs what changes: not each
// attempt, which may be one a second for days.
func (l *Ledger) note(t *trouble, part string, err error) {
	l.mu.Lock()
	if l.reason != nil { // which stays
		l.mu.Unlock()
		return
	}
	before := *t
	switch {
	case err == nil:
		*t = trouble{}
	case before.kind == "":
		*t = trouble{time.Now(), kindOf(err)}
	default:
		t.kind = kindOf(err)
	}
	kind := t.kind
	l.mu.Unlock()
	switch {
	case kind == before.kind:
	case err != nil:
		l.log.Warn("ledger stalled", "part", part, "cause", kind, "err", err)
	default:
		l.log.Info("ledger goes on", "part", part, "cause", before.kind, "stalled_ms", time.Since(before.since).Milliseconds())
	}
}

var (
	errJournal = errors.New("ledger: reading the journal")
	errSigner  = errors.New("ledger: no signature")
)

// kinds are the failures that have words of their own, the first match counts.
var kinds = []struct {
	err  error
	kind string
}{
	{ErrDiverged, "the journal and the log disagree"},
	{errJournal, "the journal cannot be read"},
	{unix.EMFILE, "too many open files"},
	{unix.ENFILE, "too many open files on this machine"},
	{unix.EROFS, "the file system is read-only"},
	{unix.ENOSPC, "no space or no inodes left on the device"},
	{unix.EDQUOT, "the disk quota is used up"},
	{unix.EACCES, "permission denied"},
	{unix.EPERM, "permission denied"},
	{unix.EIO, "the device fails"},
	{unix.ENOENT, "a file of the log is missing"},
	{errSigner, "the signer does not sign the checkpoint"}, // last: it may be for want of a tile
}

func kindOf(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	return "the log cannot be read or written"
}
