package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/terradourada/td/internal/fsutil"
)

// The suffixes of the files beside the database.
const (
	lockSuffix    = ".lock"
	walSuffix     = "-wal"
	shmSuffix     = "-shm"
	undoSuffix    = "-journal"     // SQLite's, while write-ahead logging is turned on
	copyingSuffix = ".copying"     // a copy that is not complete, with SQLite's undo file
	copySuffix    = ".copy"        // a complete copy: while it exists, it is the journal
	placeSuffix   = ".place"       // a second name of the copy, while the swap is made
	walNewSuffix  = "-wal.copying" // a write-ahead log that is not complete
)

// Suffixes returns the suffixes of all files beside the database of a journal.
func Suffixes() []string {
	return []string{lockSuffix, walSuffix, shmSuffix, undoSuffix, copyingSuffix, copyingSuffix + undoSuffix, copySuffix, placeSuffix, walNewSuffix, checkedSuffix}
}

// leftover is the state of the files after a process that did not close the
// journal.
type leftover int

const (
	leftNothing  leftover = iota
	leftLog               // a write-ahead log, now durable; the database is on the disk as it is read
	leftUnstored          // as before, but parts of the database may be in the kernel's memory only
)

// recoverFiles completes a replacement that an earlier process began. It makes
// the write-ahead log that such a process left durable by copying it to new
// blocks: the old ones may be in the kernel's memory only. Only an orderly
// close removes that log. The caller must make sure that SQLite does not have
// the files open.
func recoverFiles(path string) (leftover, error) {
	if exists(path + copySuffix) {
		if mark, err := markOf(path + copySuffix); err != nil || mark != copyID {
			return leftNothing, cmp.Or(err, strayCopy(path))
		}
		if err := swap(path); err != nil {
			return leftNothing, err
		}
		if err := settleSwap(path); err != nil {
			return leftNothing, err
		}
	}
	if err := remove(path, copyingSuffix, copyingSuffix+undoSuffix, placeSuffix, walNewSuffix); err != nil {
		return leftNothing, err
	}
	if mark, err := markOf(path); err != nil || mark != applicationID && mark != copyID {
		return leftNothing, err
	}
	info, err := os.Stat(path + walSuffix)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return leftNothing, nil
	}
	if err != nil {
		return leftNothing, err
	}
	if err := renewWAL(path); err != nil {
		return leftNothing, err
	}
	if ok, err := stored(path); err != nil || ok {
		return leftLog, err
	}
	return leftUnstored, nil
}

// markAt is the offset of the application id in the header of a SQLite file.
const markAt = 68

// markOf reads the mark in the header of a database; 0 if it is missing or has no
// header.
func markOf(path string) (uint32, error) {
	f, err := os.Open(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // the file was only read
	var id [4]byte
	if _, err := f.ReadAt(id[:], markAt); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return binary.BigEndian.Uint32(id[:]), nil
}

// markCopy writes the mark of a complete copy into its header. The caller flushes
// the file.
func markCopy(path string) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(binary.BigEndian.AppendUint32(nil, copyID), markAt)
	return errors.Join(err, f.Close())
}

// strayCopy returns the error for a file that has the name of a copy and is not
// one.
func strayCopy(path string) error {
	return &trouble{CauseStrayCopy, errors.New(path + copySuffix)}
}

// renewWAL replaces the write-ahead log by a copy in new blocks. SQLite then
// builds its index again and no longer knows which pages it had copied into the
// database, unless another process is reading. Those pages are checked by
// [stored].
func renewWAL(path string) error {
	if err := copyFile(path+walNewSuffix, path+walSuffix); err != nil {
		return err
	}
	if err := os.Rename(path+walNewSuffix, path+walSuffix); err != nil {
		return err
	}
	return fsutil.SyncDir(filepath.Dir(path))
}

func copyFile(to, from string) error {
	in, err := os.Open(filepath.Clean(from))
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // the file was only read
	out, err := os.OpenFile(filepath.Clean(to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// swap puts the complete copy in the place of the database and removes the other
// files of the old one. The copy keeps its own name until [settleSwap]. While that
// name exists, a start swaps again, so the order in which the names reach the disk
// does not matter.
func swap(path string) error {
	if err := remove(path, placeSuffix); err != nil {
		return err
	}
	if err := os.Link(path+copySuffix, path+placeSuffix); err != nil {
		return err
	}
	if err := remove(path, walSuffix, shmSuffix, undoSuffix); err != nil {
		return err
	}
	if err := os.Rename(path+placeSuffix, path); err != nil {
		return err
	}
	return remove(path, placeSuffix) // rename leaves it if both are the same file already
}

// settleSwap makes a swap final: from then on the database may be written.
func settleSwap(path string) error {
	if err := fsutil.SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := remove(path, copySuffix); err != nil {
		return err
	}
	return fsutil.SyncDir(filepath.Dir(path))
}

// removeEmptyLog removes an empty write-ahead log, which a failed start leaves.
func removeEmptyLog(path string) error {
	if info, err := os.Stat(path + walSuffix); err == nil && info.Size() == 0 {
		return remove(path, walSuffix, shmSuffix)
	}
	return nil
}

func remove(path string, suffixes ...string) error {
	for _, s := range suffixes {
		if err := fsutil.Remove(path + s); err != nil {
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
