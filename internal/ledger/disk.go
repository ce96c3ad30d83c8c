package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync/atomic"
)

// Descriptors bounds the file descriptors that an open [Ledger] uses at a time: its
// directory, its lock, and three for each file operation that runs at the same time (two
// directories on the way to a name, and the file).
const Descriptors = 2 + 3*atOnce

// atOnce bounds the file operations that run at the same time; further ones wait.
const atOnce = 8

// storage is the log's directory. Names are relative to it, with slashes.
type storage interface {
	ReadFile(name string) ([]byte, error)
	ReadDir(name string) (names []string, err error)
	// Create creates a file, which must not exist, and returns when all of it is on
	// the disk. After an error the file may exist, with any content.
	Create(name string, data []byte) error
	Rename(from, to string) error
	Mkdir(name string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// SyncDir returns when the names in the directory are on the disk.
	SyncDir(name string) error
}

// disk is a [storage] in a file system.
type disk struct {
	root  *os.Root
	slots chan struct{} // holds a token for each operation under way
}

// files are the files of a [storage] as [tiles.Reader] reads them. The end of a context
// does not stop a read.
type files struct{ storage }

// Read reads a file.
func (f files) Read(_ context.Context, name string, _ int64) ([]byte, error) { return f.ReadFile(name) }

func newDisk(root *os.Root) disk { return disk{root, make(chan struct{}, atOnce)} }

// enter waits for a slot; leave releases it.
func (d disk) enter() (leave func()) {
	d.slots <- struct{}{}
	return func() { <-d.slots }
}

func (d disk) ReadFile(name string) ([]byte, error) {
	defer d.enter()()
	return d.root.ReadFile(name)
}

func (d disk) ReadDir(name string) ([]string, error) {
	defer d.enter()()
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

func (d disk) Create(name string, data []byte) error {
	defer d.enter()()
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d disk) Rename(from, to string) error {
	defer d.enter()()
	return d.root.Rename(from, to)
}

func (d disk) Mkdir(name string) error {
	defer d.enter()()
	return d.root.Mkdir(name, 0o755)
}

func (d disk) Remove(name string) error {
	defer d.enter()()
	return d.root.Remove(name)
}

func (d disk) SyncDir(name string) error {
	defer d.enter()()
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// writer writes files whole or not at all, and durably. After an error of a sync
// the file is not synced again: the kernel reports a lost write once, and the next
// sync may succeed without the data. What failed is written again as a new file.
type writer struct {
	storage
	temps atomic.Uint64 // number of temporary files so far

	// dirs are the directories whose names are on the disk. Like mkdir and put, it
	// is used by one goroutine at a time.
	dirs map[string]bool
}

const tempPrefix = ".new-"

// replace writes a file durably. Its directory must exist.
func (w *writer) replace(name string, data []byte) error {
	if err := w.place(name, data); err != nil {
		return err
	}
	return w.SyncDir(path.Dir(name))
}

// place writes a file without syncing its directory.
func (w *writer) place(name string, data []byte) error {
	temp := path.Join(path.Dir(name), fmt.Sprint(tempPrefix, w.temps.Add(1)))
	err := w.Create(temp, data)
	if errors.Is(err, fs.ErrExist) && w.Remove(temp) == nil { // a process was killed here
		err = w.Create(temp, data)
	}
	if err == nil {
		err = w.Rename(temp, name)
	}
	if err != nil {
		_ = w.Remove(temp)
	}
	return err
}

// put writes files durably and creates their directories. After an error none of
// them counts as written.
func (w *writer) put(files []file) error {
	dirs := map[string]bool{}
	for _, f := range files {
		dir := path.Dir(f.name)
		if err := w.mkdir(dir); err != nil {
			return err
		}
		if err := w.place(f.name, f.data); err != nil {
			return err
		}
		dirs[dir] = true
	}
	for dir := range dirs {
		if err := w.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// mkdir creates a directory and those above it, durably. An empty directory is
// removed and created again: a sync of its name may have failed, since files are
// written into a directory only once its name is on the disk.
func (w *writer) mkdir(dir string) error {
	if dir == "." || w.dirs[dir] {
		return nil
	}
	parent := path.Dir(dir)
	if err := w.mkdir(parent); err != nil {
		return err
	}
	err := w.Mkdir(dir)
	if errors.Is(err, fs.ErrExist) {
		names, rerr := w.ReadDir(dir)
		if rerr != nil || len(names) > 0 {
			w.dirs[dir] = rerr == nil
			return rerr
		}
		if err = w.Remove(dir); err == nil {
			err = w.Mkdir(dir)
		}
	}
	if err == nil {
		err = w.SyncDir(parent)
	}
	w.dirs[dir] = err == nil
	return err
}

// removeTemp reports whether name is that of a temporary file, and removes the
// file if so. An error is ignored: the file does no harm.
func (w *writer) removeTemp(name string) bool {
	is := strings.HasPrefix(path.Base(name), tempPrefix)
	if is {
		_ = w.Remove(name)
	}
	return is
}
