package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/terradourada/td/internal/fault"
)

// newPrivate writes a file of secrets for its owner only. It never replaces
// one: what it held may exist nowhere else.
func newPrivate(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be written: %v", path, err), "")
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Link(temp.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Usage, fmt.Sprintf("%s exists already and is not replaced", path), "name another file, or move that one away")
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be written: %v", path, err), "")
	}
	return nil
}

// checkPrivate refuses a file of secrets that others can read.
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return fault.New(fault.Denied, fmt.Sprintf("%s can be read by others", path), "chmod 600 "+path)
	}
	return nil
}
