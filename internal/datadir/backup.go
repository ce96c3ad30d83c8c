package datadir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/receipt"
)

var backupName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// BackupAs makes the backup of this name in the data directory itself and returns its
// path. See [Backup].
func BackupAs(ctx context.Context, data, name string, o audit.Options) (path string, report *audit.Report, err error) {
	if !backupName.MatchString(name) {
		return "", nil, fault.New(fault.Usage, fmt.Sprintf("%q is no name of a backup", name), "it has 1 to 64 of the characters A-Z a-z 0-9 . _ -, and begins with a letter or a digit")
	}
	dir := filepath.Join(data, BackupsDir)
	if err := makeDir(dir); err != nil {
		return "", nil, unwritable(dir, err)
	}
	path = filepath.Join(dir, name)
	report, err = Backup(ctx, data, path, o)
	return path, report, err
}

// BackupBeforeUpgrade makes a backup in a data directory whose journal has the older
// schema from, and returns its path. The next start converts the journal, and an older
// program can then use the backup only.
func BackupBeforeUpgrade(ctx context.Context, data string, from int64, now time.Time) (path string, err error) {
	name := fmt.Sprintf("schema-%d-%s", from, now.UTC().Format("20060102T150405Z"))
	path, _, err = BackupAs(ctx, data, name, audit.Options{})
	return path, err
}

// partial is in the name of a copy that is not complete.
const partial = ".partial-"

// RemovePartial removes what a process left that was killed while it made a backup in
// its data directory. Call it while no backup is being made.
func RemovePartial(data string) error {
	entries, err := os.ReadDir(filepath.Join(data, BackupsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && strings.Contains(e.Name(), partial) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(data, BackupsDir, e.Name())))
		}
	}
	return err
}

// Backup writes a copy of a data directory, whose server may be running, to a new
// directory, audits the copy, and puts it in its place whole. The options are those of
// the audit. After an error, or if ctx ends, nothing is left.
//
// It copies in the order recorded checkpoints, log, journal, so that in the copy as in
// the original the journal is never behind the log, nor the log behind what is recorded.
func Backup(ctx context.Context, from, to string, o audit.Options) (*audit.Report, error) {
	o.AllowSelfAsserted = true // whose log it is, the copy has to show to others
	return write(ctx, from, to, "", o, accept)
}

// accept refuses a copy that does not pass its audit.
func accept(_ string, r *audit.Report) error {
	switch {
	case r.OK:
		return nil
	case len(r.Faults) > 0:
		return fault.New(fault.Negative, "the copy does not pass its audit: "+r.Faults[0], "td log audit --data shows what is wrong with the directory")
	}
	return fault.New(fault.ExitOfVerdict(r.Verdict), fmt.Sprintf("the copy is %s: %s", r.Verdict, r.Reason), "td log audit --data shows what is wrong with the directory")
}

// write is [Backup] with a place for the copy in the new directory, and with what decides
// about the new directory before it is renamed.
func write(ctx context.Context, from, to, below string, o audit.Options, decide func(dir string, report *audit.Report) error) (report *audit.Report, err error) {
	to = filepath.Clean(to)
	if err := mayCreate(from, to); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(to), "."+filepath.Base(to)+partial+"*")
	if err != nil {
		return nil, unwritable(to, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	inner := filepath.Join(dir, below)
	if err := os.MkdirAll(inner, 0o700); err != nil {
		return nil, unwritable(to, err)
	}
	if err := copyData(ctx, from, inner); err != nil {
		return nil, err
	}
	o.Indexed = true
	if report, err = Audit(ctx, inner, o); err != nil {
		return nil, err
	}
	if err := decide(dir, report); err != nil {
		return nil, err
	}
	return report, unwritable(to, place(ctx, dir, to))
}

// mayCreate refuses a destination that exists and is not an empty directory, and one
// without enough space: a server whose disk is full accepts nothing.
func mayCreate(from, to string) error {
	if names, err := os.ReadDir(to); len(names) > 0 || !errors.Is(err, fs.ErrNotExist) && err != nil {
		return fault.New(fault.Usage, fmt.Sprintf("%s exists already and is not replaced", to), "name another directory, or move that one away")
	}
	size, err := sizeOf(from)
	if err != nil {
		return unreadable(from, err)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(to), &s); err != nil {
		return unwritable(to, err)
	}
	if free := s.Bavail * uint64(s.Bsize); free < size+spare {
		return fault.New(fault.Unavailable, fmt.Sprintf("%s would need %d MiB, and %d MiB are free", to, (size+spare)>>20, free>>20),
			"make room: a server whose disk is full accepts nothing")
	}
	return nil
}

// spare is what a backup leaves free, in bytes.
const spare = 64 << 20

// sizeOf returns the bytes of what a backup copies, at least.
func sizeOf(dir string) (size uint64, err error) {
	for _, name := range []string{JournalFile, LedgerDir, PublishedDir} {
		err = errors.Join(err, filepath.WalkDir(filepath.Join(dir, name), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				var info fs.FileInfo
				if info, err = d.Info(); err == nil {
					size += uint64(info.Size())
				}
			}
			if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
				err = nil
			}
			return err
		}))
	}
	return size, err
}

// copyData copies what belongs together into an empty directory.
func copyData(ctx context.Context, from, to string) error {
	if fsutil.Exists(filepath.Join(from, JournalFile+".copy")) {
		return fault.New(fault.Unavailable, fmt.Sprintf("the server in %s is replacing its journal", from), "try again; if no server runs there, start one and stop it in order")
	}
	view, err := openView(ctx, from)
	if err != nil {
		return err
	}
	defer func() { _ = view.Close() }() // nothing was written
	if err := copyFiles(ctx, filepath.Join(from, PublishedDir), filepath.Join(to, PublishedDir)); err != nil {
		return copyFailure(from, to, err)
	}
	if err := copyLog(ctx, filepath.Join(from, LedgerDir), filepath.Join(to, LedgerDir)); err != nil {
		return copyFailure(from, to, err)
	}
	return copyFailure(from, to, view.CopyTo(ctx, filepath.Join(to, JournalFile)))
}

// copyFailure returns the fault for a copy that failed.
func copyFailure(from, to string, err error) error {
	var path *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tiles.ErrMalformed), errors.As(err, &path) && errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.Negative, fmt.Sprintf("the log in %s is not complete: %v", from, err), "td log audit --data shows what is wrong")
	}
	return unwritable(to, err)
}

// copyFiles copies the files in a directory, which may be missing.
func copyFiles(ctx context.Context, from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || filepath.Ext(e.Name()) == ".lock" {
			continue
		}
		b, err := os.ReadFile(filepath.Clean(filepath.Join(from, e.Name())))
		if err == nil {
			err = cmp.Or(ctx.Err(), writeFile(filepath.Join(to, e.Name()), b))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyLog copies the tree of the newest checkpoint, with tiles of exactly that tree.
func copyLog(ctx context.Context, from, to string) error {
	root, err := os.OpenRoot(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // it was only read
	files := logFiles{root}
	for _, name := range []string{"origin", tiles.Checkpoint} {
		b, err := files.Read(ctx, name, receipt.MaxLogSize)
		if errors.Is(err, fs.ErrNotExist) { // the audit of the copy finds out whether it may be missing
			continue
		}
		if err == nil {
			err = writeFile(filepath.Join(to, name), b)
		}
		if err != nil {
			return err
		}
		if name == tiles.Checkpoint {
			return copyTiles(ctx, files, b, to)
		}
	}
	return nil
}

func copyTiles(ctx context.Context, files tiles.Files, note []byte, to string) error {
	_, size, err := tiles.Head(note)
	if err != nil {
		return err
	}
	reader := tiles.NewReader(files, 0)
	for level := tiles.Entries; level < 8; level++ {
		for n := uint64(0); ; n++ {
			t := tiles.At(level, n, size)
			if t.W == 0 {
				break
			}
			b, err := reader.Read(ctx, t, size)
			if err == nil {
				err = cmp.Or(ctx.Err(), writeFile(filepath.Join(to, filepath.FromSlash(tiles.Path(t))), b))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// logFiles are the [tiles.Files] of a log in a directory.
type logFiles struct{ root *os.Root }

// Read reads a file.
func (f logFiles) Read(_ context.Context, name string, _ int64) ([]byte, error) {
	return f.root.ReadFile(name)
}

// ReadDir lists a directory.
func (f logFiles) ReadDir(name string) ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), name)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// writeFile writes a new file and syncs it. The directories above it are made.
func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// place syncs all directories of a complete copy and renames it. A directory that is not
// empty is not replaced.
func place(ctx context.Context, dir, to string) error {
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = fsutil.SyncDir(name)
		}
		return cmp.Or(err, ctx.Err())
	})
	if err != nil {
		return err
	}
	if err := unix.Rename(dir, to); err != nil { // unlike os.Rename it replaces an empty directory
		return err
	}
	return fsutil.SyncDir(filepath.Dir(to))
}

// makeDir makes a directory durably, for its owner only.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return fsutil.SyncDir(filepath.Dir(dir))
}

// unwritable returns the fault for a copy that cannot be written, nil for no error.
func unwritable(name string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*fault.Fault)) {
		return err
	}
	return fault.New(fault.Unavailable, fmt.Sprintf("%s cannot be written: %v", name, err), cmp.Or(journal.CauseOf(err).Remedy(), "nothing was left behind"))
}
