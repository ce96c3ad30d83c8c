package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/notify"
)

// TestNotifyStore: the store is made for its owner only and has its size from the start.
// What another user could have made, or a link, is refused, and so is a destination that
// makes no sense.
func TestNotifyStore(t *testing.T) {
	t.Parallel()
	for what, prepare := range map[string]func(dir string) error{
		"":       func(string) error { return nil },
		"a link": func(dir string) error { return os.Symlink(os.TempDir(), filepath.Join(dir, "notify")) },
		"a file": func(dir string) error { return os.WriteFile(filepath.Join(dir, "notify"), nil, 0o600) },
		"open to all": func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, "notify"), 0o700); err != nil {
				return err
			}
			return os.Chmod(filepath.Join(dir, "notify"), 0o755)
		},
		"a link in it": func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, "notify"), 0o700); err != nil {
				return err
			}
			return os.Symlink("/etc/hostname", filepath.Join(dir, "notify", "store"))
		},
	} {
		dir := t.TempDir()
		if err := prepare(dir); err != nil {
			t.Fatal(err)
		}
		f, err := openNotifyStore(&config.Config{Data: dir, NotifyAllow: []string{"127.0.0.1"}})
		if (err == nil) != (what == "") {
			t.Errorf("%s: %v", what, err)
		}
		if f == nil {
			continue
		}
		if info, err := f.Stat(); err != nil || info.Size() != notify.StoreSize || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", what, info, err)
		}
		_ = f.Close()
	}
	if f, err := openNotifyStore(&config.Config{Data: t.TempDir()}); f != nil || err != nil {
		t.Errorf("without a destination: %v, %v", f, err)
	}
	if _, err := openNotifyStore(&config.Config{Data: t.TempDir(), NotifyAllow: []string{"a b"}}); err == nil {
		t.Error("a destination that makes no sense was taken")
	}
	if _, err := openNotifyStore(&config.Config{Data: t.TempDir(), NotifyAllow: []string{"127.0.0.1"}, NotifyCA: "/etc/hostname"}); err == nil || !strings.Contains(err.Error(), "notify_ca") {
		t.Errorf("a file without a certificate: %v", err)
	}
}
