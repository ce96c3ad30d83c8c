package main_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/protocol"
)

// TestChildrenHoldNothing looks at the children of a server as another user
// of the machine could: environment, command line, directory, descriptors.
func TestChildrenHoldNothing(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), limits...)
	b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
	b.child("prover", 0)
	for kind, pid := range b.children() {
		proc := fmt.Sprintf("/proc/%d/", pid)
		env, err := os.ReadFile(proc + "environ")
		if errors.Is(err, os.ErrPermission) {
			t.Logf("%s: cannot be looked into without privilege, as it should be", kind)
			continue
		}
		if err != nil || len(env) != 0 {
			t.Errorf("%s: an environment of %d bytes, %v", kind, len(env), err)
		}
		line, err := os.ReadFile(proc + "cmdline")
		args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
		if err != nil || len(args) < 2 || args[0] != "td" || args[1] != "internal-"+kind {
			t.Errorf("%s: command line %q, %v", kind, args, err)
		}
		for _, arg := range args[2:] { // how many workers, which user
			if _, err := strconv.Atoi(arg); err != nil {
				t.Errorf("%s: argument %q", kind, arg)
			}
		}
		if dir, err := os.Readlink(proc + "cwd"); err != nil || dir != "/" {
			t.Errorf("%s: works in %s, %v", kind, dir, err)
		}
		checkDescriptors(t, kind, descriptors(t, proc+"fd"))
	}
}

func descriptors(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name, err := os.Readlink(dir + "/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// checkDescriptors wants /dev/null three times and the sockets; what else is
// there is the runtime's own, and says nothing.
func checkDescriptors(t *testing.T, kind string, names []string) {
	t.Helper()
	null, sockets := 0, 0
	for _, name := range names {
		switch {
		case name == "/dev/null":
			null++
		case strings.HasPrefix(name, "socket:"):
			sockets++
		case slices.Contains([]string{"anon_inode:[eventpoll]", "anon_inode:[eventfd]"}, name):
		case strings.HasPrefix(name, "/sys/fs/cgroup/") && strings.Contains(name, "cpu"): // its share of the processors
		default:
			t.Errorf("%s: has %s open", kind, name)
		}
	}
	if null != 3 || sockets == 0 || kind != "prover" && sockets != 1 {
		t.Errorf("%s: /dev/null %d times, %d sockets", kind, null, sockets)
	}
}

// TestNothingOfClientsStays: what a client keeps secret is nowhere in the data
// directory or the log, in any form, by any way of submitting.
func TestNothingOfClientsStays(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), limits...)
	ctx := t.Context()
	secrets := map[string][]byte{"an event": []byte(`sealed":`)}
	for i := range 3 {
		a := b.mustAnswer(ctx)
		blind := a.draft.Blind()
		secrets[fmt.Sprintf("tag %d", i)] = a.ch.Tag[:]
		secrets[fmt.Sprintf("blind %d", i)] = blind[:]
		secrets[fmt.Sprintf("salt %d", i)] = a.ch.ClientSalt[:]
		b.wantAccepted(ctx, a)
	}
	p, err := b.push(ctx, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	secrets["pushed blind"], secrets["pushed salt"] = p.Opening.Blind[:], p.Opening.ClientSalt[:]
	secrets["pushed event"] = []byte(p.Opening.Event)
	while := dataFiles(t, b.data)
	b.kill()
	for name, content := range dataFiles(t, b.data) {
		while[name+", after a kill"] = content
	}
	while["standard error"] = []byte(b.stderr())
	for name, content := range while {
		for what, secret := range secrets {
			for _, form := range [][]byte{secret, []byte(hex.EncodeToString(secret)), []byte(protocol.EncodeBase64(secret))} {
				if bytes.Contains(content, form) {
					t.Errorf("%s holds %s", name, what)
				}
			}
		}
	}
	if id := p.RequestID; !bytes.Contains(while[b.data+"/journal.db-wal"], id[:]) && !bytes.Contains(while[b.data+"/journal.db"], id[:]) {
		t.Error("not even the request id is there: this test looks in the wrong place")
	}
}
