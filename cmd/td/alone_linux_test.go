package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRunsAlone runs the program in a directory tree that holds nothing else, as user 65532:
// it needs no library, no shell, no certificate and no entry in a table of users to verify.
func TestRunsAlone(t *testing.T) {
	t.Parallel()
	switch {
	case os.Geteuid() != 0:
		t.Skip("only root changes the root directory")
	case testing.Short():
		t.Skip("it builds the program")
	}
	here, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	openWay(t, root)
	if err := os.Rename(build(t, here), filepath.Join(root, "td")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "r.receipt.json"), contentsOf(t, filepath.Join(here, "testdata/accepted/v0.1/open-1.receipt.json")), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"version", "protocol TD/1"},
		{"verify --trust /none --allow-self-asserted /r.receipt.json", "valid, if this is the right log"},
		{"config print", "listen"},
	} {
		cmd := exec.Command("/td", strings.Fields(tt.args)...)
		cmd.Dir, cmd.Env = "/", []string{"HOME=/"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("td %s: %v\n%s", tt.args, err, out)
		}
	}
}
