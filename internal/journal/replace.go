package journal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/terradourada/td/internal/fsutil"
)

// chain is a hash over leaves in order: two journals with the same chain have the
// same leaves.
type chain [sha256.Size]byte

func (c *chain) add(leaf []byte) {
	h := sha256.New()
	_, _ = h.Write(c[:])
	_, _ = h.Write(leaf)
	h.Sum(c[:0])
}

// replace copies the journal to a new file after a failed write or flush. It
// verifies the copy and puts it in the place of the old file. Nothing more is
// written to the old file and its write-ahead log. See decision 0021.
func (j *Journal) replace(ctx context.Context) error {
	start := time.Now()
	if err := j.checkOwn(); err != nil {
		return err
	}
	if !j.copied { // else an earlier attempt made it, and nothing was written since
		if exists(j.path + copySuffix) {
			return strayCopy(j.path)
		}
		if err := j.copy(ctx); err != nil {
			return errors.Join(fmt.Errorf("copy the journal: %w", err), remove(j.path, copyingSuffix, copyingSuffix+undoSuffix))
		}
	}
	if err := j.place(ctx); err != nil {
		return fmt.Errorf("put the copy of the journal in its place: %w", err)
	}
	j.log.Warn("journal copied to a new file and verified", "leaves", j.told.Load(), "took_ms", time.Since(start).Milliseconds())
	return nil
}

// copy makes a complete, durable and verified copy. It reads through the kernel's
// cache, which is right for as long as the kernel keeps the pages that it could not
// write.
func (j *Journal) copy(ctx context.Context) error {
	name := j.path + copyingSuffix
	if err := remove(j.path, copyingSuffix, copyingSuffix+undoSuffix); err != nil {
		return err
	}
	if err := tryWrite(name); err != nil {
		return err
	}
	if err := cmp.Or(j.step("copy"), j.mustKnowSum(ctx)); err != nil {
		return err
	}
	// The last connection has the write-ahead log open even if its name is gone.
	if _, err := j.last.ExecContext(ctx, "VACUUM INTO ?", name); err != nil {
		return unusable(err)
	}
	if err := errors.Join(markCopy(name), syncFile(name)); err != nil {
		return err
	}
	if err := j.step("verify"); err != nil {
		return err
	}
	if err := j.verify(ctx, name); err != nil {
		return err
	}
	if err := j.step("complete"); err != nil {
		return err
	}
	if err := os.Rename(name, j.path+copySuffix); err != nil {
		return err
	}
	j.copied = true
	return fsutil.SyncDir(filepath.Dir(j.path))
}

// tryWrite creates an empty file after writing and flushing one page. While the
// device still fails, this costs less than a copy and returns the system's error.
func tryWrite(name string) error {
	f, err := os.OpenFile(filepath.Clean(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Sync(), f.Truncate(0), f.Close())
}

func syncFile(name string) error {
	f, err := os.OpenFile(filepath.Clean(name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// verify returns an error if the copy is not a complete journal, or if an entry is
// missing or differs from what was acknowledged. Clients and audit rows of a COMMIT that
// failed may be there.
func (j *Journal) verify(ctx context.Context, name string) (err error) {
	db, err := sql.Open("sqlite", dsn(name, "query_only(1)")+"&mode=ro")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := quickCheck(ctx, db); err != nil {
		return err
	}
	var origin string
	if err := db.QueryRowContext(ctx, selectOrigin).Scan(&origin); err != nil {
		return err
	}
	r := newReplay()
	r.most = j.told.Load()
	if err := checkDerived(ctx, db, r); err != nil {
		return err
	}
	if r.next < r.most || r.sum != j.sum || origin != j.origin {
		return unusable(errors.New("acknowledged entries can no longer be read"))
	}
	registry, rows, err := loadAdministration(ctx, db)
	if err != nil {
		return err
	}
	same := registry.Equal(j.clients.Load()) || j.unsettled != nil && j.unsettled.registry != nil && registry.Equal(j.unsettled.registry)
	if !same || rows < j.rows {
		return unusable(errors.New("acknowledged clients or audit rows can no longer be read"))
	}
	return nil
}

// place puts the copy in the place of the database and opens it. Readers can use it
// before its name is on the disk.
func (j *Journal) place(ctx context.Context) error {
	if err := j.step("swap"); err != nil {
		return err
	}
	if !j.placed { // else an earlier attempt did it, and the copy may have lost its own name
		if err := j.swapOpen(); err != nil {
			return err
		}
		j.placed = true
	}
	if err := j.step("settle"); err != nil {
		return err
	}
	if err := cmp.Or(settleSwap(j.path), j.step("settled")); err != nil {
		return err
	}
	j.copied, j.placed, j.logged = false, false, false
	if err := useWAL(ctx, j.write); err != nil {
		return err
	}
	if err := mark(ctx, j.write); err != nil {
		return err
	}
	return j.openLast(ctx)
}

// swapOpen swaps the files, then the connections. In this order SQLite notices that
// the old file was moved, and does not touch the new write-ahead log when the old
// connections close. If the files cannot be swapped, the copy is read where it is.
func (j *Journal) swapOpen() error {
	j.reads.Lock()
	old, path, err := j.pools, j.path, swap(j.path)
	if err != nil {
		path += copySuffix
	}
	err = errors.Join(err, j.openPools(path))
	j.reads.Unlock()
	_ = old.close() // its file is no longer used
	return err
}

// checkOwn returns an error if the lock or the database is no longer the file that
// this process opened: another process may be writing then.
func (j *Journal) checkOwn() error {
	held, err := j.lock.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Stat(j.path + lockSuffix); err != nil || !os.SameFile(held, now) {
		return fmt.Errorf("%w: %s is not the file that this process has locked", errForeign, j.path+lockSuffix)
	}
	if now, err := os.Stat(j.path); err == nil && !os.SameFile(j.held, now) && !j.copied {
		return fmt.Errorf("%w: %s is another file", errForeign, j.path)
	}
	return nil
}

// checkFiles returns an error if a file of the journal was removed or replaced:
// what is written to it would be lost with this process. The error is errForeign if
// another process may be writing; otherwise a copy has to be made.
func (j *Journal) checkFiles() error {
	if err := j.checkOwn(); err != nil {
		return err
	}
	if !exists(j.path) || j.logged && !exists(j.path+walSuffix) {
		return errors.New("a file of the journal was removed")
	}
	return nil
}

// step lets tests make the step op fail.
func (j *Journal) step(op string) error {
	if j.cfg.fault == nil {
		return nil
	}
	_, err := j.cfg.fault(op)
	return err
}
