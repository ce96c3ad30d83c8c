package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/notify"
)

// storeFile is the name of the store in its directory.
const storeFile = "store"

// NotifierFiles are what a notifier is started with besides settings: its store, and the
// certificates of authorities that it trusts.
type NotifierFiles struct {
	*os.File
	authorities []byte
}

// openNotifyStore opens the files of the notifier, nil if no destination is allowed. The
// store belongs to the user that starts the server. Of a server that is started as root
// neither the core nor the notifier can open it: the notifier is given the open file.
func openNotifyStore(cfg *config.Config) (*NotifierFiles, error) {
	if len(cfg.NotifyAllow) == 0 || cfg.ReadOnly {
		return nil, nil //nolint:nilnil // there are none
	}
	if _, err := notify.ParseAllowed(cfg.NotifyAllow); err != nil {
		return nil, fault.New(fault.Config, "notify_allow: "+err.Error(), "for example alerts.example.org, 127.0.0.1:9093 or 192.0.2.0/24:443")
	}
	files := new(NotifierFiles)
	var err error
	if cfg.NotifyCA != "" {
		if files.authorities, err = notify.ReadAuthorities(cfg.NotifyCA); err != nil {
			return nil, fault.New(fault.Config, "notify_ca: "+err.Error(), "name a file with the certificates of authorities in PEM")
		}
	}
	if files.File, err = openStoreIn(cfg.Data); err != nil {
		return nil, fault.New(fault.Config, fmt.Sprintf("the store of the notifier cannot be opened: %v", err),
			"notify/ in the data directory and the file in it belong to the user that starts the server; an empty notify_allow does without them")
	}
	return files, nil
}

func openStoreIn(data string) (*os.File, error) {
	root, err := os.OpenRoot(data)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := root.Mkdir(datadir.NotifyDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	info, err := root.Lstat(datadir.NotifyDir)
	if err == nil && !info.IsDir() {
		err = errors.New("notify is no directory")
	}
	if err = errors.Join(err, ownedByUs(info)); err != nil {
		return nil, err
	}
	dir, err := root.OpenRoot(datadir.NotifyDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(storeFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("the store is no file")
	}
	if err = errors.Join(err, ownedByUs(info)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	reserve := make([]byte, max(0, notify.StoreSize-info.Size()))
	_, _ = f.WriteAt(reserve, info.Size()) // an alert about a full disk needs no space; without space the store is as large as it can be
	return f, f.Chmod(0o600)
}

// ownedByUs refuses a file that another user could have made, or that others can read.
func ownedByUs(info fs.FileInfo) error {
	if info == nil {
		return nil // the error of looking is there already
	}
	if uid := ownerOfInfo(info); uid >= 0 && uid != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d", info.Name(), uid)
	}
	if info.Mode().Perm()&0o077 != 0 && info.IsDir() {
		return fmt.Errorf("%s can be read by others", info.Name())
	}
	return nil
}
