package ledger

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Condition describes whether the log follows the journal.
type Condition struct {
	Size   uint64    // entries that the published checkpoint covers, of an earlier process perhaps
	Behind uint64    // rows that are committed and not in the log
	Since  time.Time // of the first failure since the last success; zero if there is none
	Err    string    // the kind of failure, in words; empty if there is none
}

// Condition returns the present condition. It reads no file.
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

// trouble is a failure that is retried; the zero value means none.
type trouble struct {
	since time.Time
	kind  string
}

// note records the outcome of an attempt. It logs changes only, because there may
// be an attempt every second for days.
func (l *Ledger) note(t *trouble, part string, err error) {
	l.mu.Lock()
	if l.reason != nil { // final
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
	errMoved   = errors.New("ledger: the directory was moved, removed or replaced")
)

// kinds are the kinds of failure; the first match counts.
var kinds = []struct {
	err  error
	kind string
}{
	{ErrDiverged, "the journal and the log disagree"},
	{errJournal, "the journal cannot be read"},
	{errMoved, "the directory of the log was moved away"},
	{unix.EMFILE, "too many open files"},
	{unix.ENFILE, "too many open files on this machine"},
	{unix.EROFS, "the file system is read-only"},
	{unix.ENOSPC, "no space or no inodes left on the device"},
	{unix.EDQUOT, "the disk quota is used up"},
	{unix.EACCES, "permission denied"},
	{unix.EPERM, "permission denied"},
	{unix.EIO, "the device fails"},
	{unix.ENOENT, "a file of the log is missing"},
	{errSigner, "the signer does not sign the checkpoint"}, // last: a tile may be the cause
}

func kindOf(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	return "the log cannot be read or written"
}
