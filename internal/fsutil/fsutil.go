// Package fsutil reads files of bounded size, writes them whole and durably,
// keeps files of secrets private, and locks files. Its errors are faults.
package fsutil

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/terradourada/td/internal/fault"
)

// ReadFile reads a file of at most limit bytes.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f, path, limit)
}

// ReadInput reads a file of at most limit bytes, or standard input for "-".
func ReadInput(path string, stdin io.Reader, limit int64) ([]byte, error) {
	if path == "-" {
		return readBounded(stdin, "standard input", limit)
	}
	return ReadFile(path, limit)
}

// ParseFile reads a file of at most limit bytes and parses it. A file that does not parse is
// a fault with the exit status and the hint: its path, what it is not, and why.
func ParseFile[T any](path string, limit int64, parse func([]byte) (T, error), exit int, isNot, hint string) (v T, err error) {
	b, err := ReadFile(path, limit)
	if err != nil {
		return v, err
	}
	if v, err = parse(b); err != nil {
		return v, fault.New(exit, fmt.Sprintf("%s%s: %s", path, isNot, fault.Of(err).What), hint)
	}
	return v, nil
}

// Open opens a file for reading.
func Open(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, fmt.Sprintf("%s does not exist", path), "")
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	return f, nil
}

func readBounded(r io.Reader, name string, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	if int64(len(b)) > limit {
		return nil, fault.New(fault.Usage, fmt.Sprintf("%s is larger than %d bytes", name, limit), "")
	}
	return b, nil
}

func unreadable(name string, err error) error {
	return fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be read: %v", name, err), "")
}

// WriteFile writes a file whole or not at all, and syncs it before it returns.
// A file of that name is replaced.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return explain(path, write(path, data, perm, os.Rename))
}

// NewPrivate writes a file of secrets for its owner only, as [WriteFile] does.
// It never replaces a file, because its content may exist nowhere else.
func NewPrivate(path string, data []byte) error {
	err := write(path, data, 0o600, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Usage, fmt.Sprintf("%s exists already and is not replaced", path), "name another file, or move that one away")
	}
	return explain(path, err)
}

// write writes the data to a new file beside the path and syncs it; put then
// names it.
func write(path string, data []byte, perm fs.FileMode, put func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // which fails after a rename
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := put(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

func explain(path string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be written: %v", path, err), "")
}

// SyncDir syncs the names in a directory to disk.
func SyncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// CheckPrivate refuses a file of secrets that others can read.
func CheckPrivate(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return fault.New(fault.Denied, fmt.Sprintf("%s can be read by others", path), "chmod 600 "+path)
	}
	return nil
}

// Exists reports whether there is a file of this name.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Remove removes a file. A file that is missing is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SameFile reports whether two paths lead to one file that exists.
func SameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
