package cosign

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
)

// The files in the directory of a cosigner.
const (
	keyFile   = "cosigner.key"
	stateFile = "cosigner.db"
)

// maxKeyFile bounds a key file, in bytes. The public key of ML-DSA-44 is the longest line.
const maxKeyFile = 8 << 10

// Init makes the directory of a new cosigner, with keys and an empty memory, for the
// user alone.
func Init(ctx context.Context, dir, name string) (*Key, error) {
	key, err := NewKey(name)
	if err != nil {
		return nil, fault.New(fault.Usage, err.Error(), "such as cosigner.example")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be made: %v", dir, err), "")
	}
	err = Create(ctx, filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrExist) {
		return nil, fault.New(fault.Usage, fmt.Sprintf("there is a cosigner in %s already", dir), "name another directory")
	}
	if err != nil {
		return nil, fault.New(fault.Unexpected, fmt.Sprintf("the state of the cosigner cannot be made: %v", err), "")
	}
	if err := fsutil.NewPrivate(filepath.Join(dir, keyFile), key.Encode()); err != nil {
		return nil, err
	}
	return key, fsutil.SyncDir(dir)
}

// OpenDir opens the memory of the cosigner in a directory.
func OpenDir(ctx context.Context, dir string) (*Store, error) {
	s, err := Open(ctx, filepath.Join(dir, stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, fmt.Sprintf("there is no cosigner in %s", dir), "td cosign init makes one; one that has lost its memory must not start again under its old keys")
	case err != nil && !errors.As(err, new(*fault.Fault)):
		return nil, fault.New(fault.Unavailable, err.Error(), "")
	}
	return s, err
}

// ReadKey reads the keys of the cosigner in a directory.
func ReadKey(dir string) (*Key, error) {
	path := filepath.Join(dir, keyFile)
	if err := fsutil.CheckPrivate(path); err != nil {
		return nil, err
	}
	return fsutil.ParseFile(path, maxKeyFile, ParseKey, fault.Config, "", "")
}

// Policy returns lines of a policy file that name the keys, and a group that asks for
// both.
func (k *Key) Policy() string {
	v := k.Verifiers()
	return fmt.Sprintf("witness %[1]s-ed25519 %[2]s\nwitness %[1]s-mldsa44 %[3]s\ngroup %[1]s all %[1]s-ed25519 %[1]s-mldsa44\n", k.name, v[0], v[1])
}
