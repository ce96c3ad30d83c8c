//go:build linux

package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// someUser is a user that is not root.
const someUser = 65523

// ownerOf is the user and group of a file itself, not of what it links to.
func ownerOf(t *testing.T, name string) int {
	t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	if st.Uid != st.Gid {
		t.Errorf("%s: user %d, group %d", name, st.Uid, st.Gid)
	}
	return int(st.Uid)
}

// dataDir makes a directory of these files; a name that ends in a slash is a
// directory, and "a->b" a link.
func dataDir(t *testing.T, names ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		link, target, isLink := strings.Cut(name, "->")
		var err error
		switch {
		case isLink:
			err = os.Symlink(target, filepath.Join(dir, link))
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o700)
		default:
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGiveData: what a server makes changes its owner, and goes back; nothing
// else does.
func TestGiveData(t *testing.T) {
	outside := dataDir(t, "file", "dir/inner")
	dir := dataDir(t, "journal.db", "journal.db-wal", "journal.db.lock", "ledger/checkpoint", "ledger/tile/0/000", "published/a.trust",
		"config.toml", "tls.key", "backup/journal.db", "ledger/link->"+outside, "published/file->"+outside+"/file", "journal.db-shm->"+outside+"/file")
	given := []string{".", "journal.db", "journal.db-wal", "journal.db.lock", "ledger", "ledger/checkpoint", "ledger/tile/0/000", "published", "published/a.trust"}
	for _, uid := range []int{someUser, 0, someUser} {
		if err := giveData(dir, uid); err != nil {
			t.Fatal(err)
		}
		for _, name := range given {
			if got := ownerOf(t, filepath.Join(dir, name)); got != uid {
				t.Errorf("%s belongs to user %d, want %d", name, got, uid)
			}
		}
		kept := []string{dir + "/config.toml", dir + "/tls.key", dir + "/backup", dir + "/backup/journal.db", outside, outside + "/file", outside + "/dir/inner"}
		for _, name := range kept {
			if got := ownerOf(t, name); got != 0 {
				t.Errorf("%s was given to user %d", name, got)
			}
		}
	}
}

func TestGiveDataRefusals(t *testing.T) {
	for what, c := range map[string]struct {
		names []string
		want  string // "" if it is given
	}{
		"empty":            {nil, ""},
		"a new volume":     {[]string{"lost+found/"}, ""},
		"other files":      {[]string{"bash_completion.sh"}, "it has no journal, but bash_completion.sh in it"},
		"another place":    {[]string{"cron.d/job", "passwd"}, "it has no journal, but cron.d in it"},
		"links":            {[]string{"mail->/var/mail"}, "it has no journal, but mail in it"},
		"ledger alone":     {[]string{"ledger/checkpoint"}, ""},
		"journal and more": {[]string{"journal.db", "backup/x"}, ""},
	} {
		dir := dataDir(t, c.names...)
		err := giveData(dir, someUser)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", what, err)
		}
		if owner := ownerOf(t, dir); (owner == someUser) != (c.want == "") {
			t.Errorf("%s: it belongs to user %d", what, owner)
		}
	}
	dir := dataDir(t, "journal.db", "other/secret")
	if err := os.Link(dir+"/other/secret", dir+"/journal.db-wal"); err != nil {
		t.Fatal(err)
	}
	if err := giveData(dir, someUser); err == nil || !strings.Contains(err.Error(), "second name") || ownerOf(t, dir+"/other/secret") != 0 {
		t.Errorf("a file with a second name: %v", err)
	}
	if err := giveData(dir+"/nothing", someUser); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// TestGiveDataLeavesARunningServer: what another server has locked stays its own.
func TestGiveDataLeavesARunningServer(t *testing.T) {
	dir := dataDir(t, "journal.db", "journal.db.lock")
	f, err := os.Open(dir + "/journal.db.lock")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := giveData(dir, someUser); err != nil || ownerOf(t, dir+"/journal.db") != 0 || ownerOf(t, dir) != 0 {
		t.Errorf("%v", err)
	}
}

func TestReachable(t *testing.T) {
	dir := dataDir(t, "open/data/", "closed/data/")
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o755, dir + "/open": 0o711, dir + "/open/data": 0o700, dir + "/closed": 0o700} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := reachable(dir+"/open/data", someUser); err != nil {
		t.Errorf("open: %v", err)
	}
	if err := reachable(dir+"/closed/data", someUser); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("closed: %v", err)
	}
	t.Chdir(dir + "/closed") // from where a short name leads there
	if err := reachable("data", someUser); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("closed, by its short name: %v", err)
	}
	if _, err := os.ReadDir(dir + "/closed/data"); err != nil {
		t.Errorf("this process is another user now: %v", err)
	}
}

func TestConfigurationOfRoot(t *testing.T) {
	dir := dataDir(t, "config.toml")
	for _, name := range []string{"", dir + "/config.toml"} {
		if err := CheckOwner(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := os.Chown(dir+"/config.toml", someUser, someUser); err != nil {
		t.Fatal(err)
	}
	if err := CheckOwner(dir + "/config.toml"); err == nil || !strings.Contains(err.Error(), "belongs to user 65523") {
		t.Errorf("a file that the core could have made: %v", err)
	}
	if err := os.Chown(dir+"/config.toml", 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := CheckOwner(dir + "/nothing"); err == nil {
		t.Error("a file that is gone is fine")
	}
	for _, c := range []struct {
		name   string
		change func() error
		want   string
	}{
		{"directory of another user", func() error { return os.Chown(dir, someUser, someUser) }, "belongs to user 65523"},
		{"directory that others may write", func() error { return errors.Join(os.Chown(dir, 0, 0), os.Chmod(dir, 0o777)) }, "can be written by others"},
		{"file that others may write", func() error { return errors.Join(os.Chmod(dir, 0o755), os.Chmod(dir+"/config.toml", 0o666)) }, "can be written by others"},
	} {
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		if err := CheckOwner(dir + "/config.toml"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestConfigurationThroughLinks: a link counts with everything it leads through.
func TestConfigurationThroughLinks(t *testing.T) {
	dir := dataDir(t, "config.toml")
	theirs, ours := dataDir(t, "config.toml"), t.TempDir()
	if err := os.Chown(theirs, someUser, someUser); err != nil {
		t.Fatal(err)
	}
	links := map[string]string{
		ours + "/good":    dir + "/config.toml",
		ours + "/dir":     dir,
		ours + "/bad":     theirs + "/config.toml",
		theirs + "/back":  dir + "/config.toml",
		ours + "/through": theirs + "/back",
		ours + "/circle":  "circle",
		ours + "/up":      "../" + filepath.Base(ours) + "/good",
	}
	for link, target := range links {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"good": "", "dir/config.toml": "", "up": "",
		"bad": "belongs to user 65523", "through": "belongs to user 65523", "circle": "leads nowhere",
	} {
		err := CheckOwner(ours + "/" + name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
