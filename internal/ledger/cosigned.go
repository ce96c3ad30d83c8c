package ledger

import (
	"bytes"
	"time"
)

// cosignedFor is how long [Ledger.Await] prefers a cosigned checkpoint to newer ones. A
// receipt under it does not list withdrawals that came after it.
const cosignedFor = 10 * time.Second

// cosigned is the newest checkpoint that has all cosignatures which were asked for.
type cosigned struct {
	Checkpoint
	at time.Time // when it was first seen as the newest of all
}

// Cosigned takes a checkpoint that [Ledger.Latest] has returned, with further signature
// lines, which the caller has verified. While the checkpoint is the newest one, it is
// published with these lines; if that fails, the lines are not published. enough means
// that it has all cosignatures that were asked for, so that Await prefers it for a time.
// The time begins at since, when Latest first returned the checkpoint, and not now: a slow
// cosigner would prolong it.
func (l *Ledger) Cosigned(cp Checkpoint, enough bool, since time.Time) error {
	l.placing.Lock()
	defer l.placing.Unlock()
	l.mu.Lock()
	newest := l.latest.Size == cp.Size && l.latest.Root == cp.Root && l.latest.Key == cp.Key
	if enough && cp.Size >= l.cosigned.Size {
		l.cosigned = cosigned{cp, since}
	}
	l.mu.Unlock()
	if !newest {
		return nil
	}
	if err := l.writer.replace(checkpointFile, cp.Note); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest, l.published = cp, cp.Note
	return nil
}

// Plain returns the checkpoint with the log's own signature line alone, which is the
// first one.
func (c Checkpoint) Plain() Checkpoint {
	if text := bytes.Index(c.Note, []byte("\n\n")) + 2; text >= 2 {
		c.Note = c.Note[:text+bytes.IndexByte(c.Note[text:], '\n')+1]
	}
	return c
}
