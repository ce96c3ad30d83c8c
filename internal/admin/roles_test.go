package admin_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/principal"
)

// TestWhatNeedsACommander: what starts again, is permanent or admits someone is not in the
// power of an operator, and what only reads is all that a viewer may do.
func TestWhatNeedsACommander(t *testing.T) {
	t.Parallel()
	commander := []string{"thaw", "seal", "retire", "revoke", "clients/add", "clients/key", "clients/disable", "incident/close", "alerts/sinks/add", "alerts/sinks/remove"}
	viewer := []string{"status", "epochs", "claims", "clients", "sessions", "audit", "incidents", "alerts", "alerts/rules", "alerts/sinks", "responses", "anomalies"}
	for _, a := range admin.Actions() {
		least := principal.Operator
		switch {
		case slices.Contains(commander, a.Name):
			least = principal.Commander
		case slices.Contains(viewer, a.Name):
			least = principal.Viewer
		}
		if a.Least != least {
			t.Errorf("%s needs %s, want %s", a.Name, a.Least, least)
		}
	}
}

// TestRolesOfPeers: the greatest role of a user and all their groups counts.
func TestRolesOfPeers(t *testing.T) {
	t.Parallel()
	roles := admin.NewRoles(500)
	for role, names := range map[principal.Role][]string{
		principal.Viewer:    {"group:10", "user:1", "user:root"},
		principal.Operator:  {"group:20", "user:1"},
		principal.Commander: {"group:30"},
	} {
		if err := roles.Grant(role, "test", names); err != nil {
			t.Fatal(err)
		}
	}
	for _, try := range []struct {
		uid, gid uint32
		groups   []uint32
		role     principal.Role
	}{
		{0, 5, nil, principal.Commander},
		{500, 5, nil, principal.Commander},
		{1, 5, nil, principal.Operator},
		{2, 10, nil, principal.Viewer},
		{2, 5, []uint32{7, 20, 10}, principal.Operator},
		{1, 10, []uint32{30}, principal.Commander},
		{2, 5, []uint32{7}, principal.NoRole},
		{1<<32 - 1, 1<<32 - 1, nil, principal.NoRole},
	} {
		if role := roles.OfPeer(try.uid, try.gid, try.groups); role != try.role {
			t.Errorf("%+v has the role %s", try, role)
		}
	}
}

func TestGrantRefuses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "user:", "group:", "root", "user", "user:no such user", "group:no such group", "users:1", "user:-1", "user:4294967295", "user:4294967296", "user:1 ", "group:1,2"} {
		if err := admin.NewRoles(0).Grant(principal.Viewer, "admin_viewers", []string{name}); fault.Of(err).Exit != fault.Config {
			t.Errorf("%q: %v", name, err)
		}
	}
	digest := strings.Repeat("ab", 32)
	for _, lines := range []string{digest, digest + " admin", digest + " core", digest + " none", digest[2:] + " viewer", digest + " viewer x", "x viewer", digest + " viewer\n" + digest + " operator", strings.Repeat("x", 100_000)} {
		if err := admin.NewRoles(0).GrantCertificates("roles", []byte(lines)); fault.Of(err).Exit != fault.Config {
			t.Errorf("%.80q: %v", lines, err)
		}
	}
	if err := admin.NewRoles(0).GrantCertificates("roles", []byte("# people\n\n"+digest+" viewer\r\n")); err != nil {
		t.Error(err)
	}
}

// TestSocketModes: others reach the socket only if they are named.
func TestSocketModes(t *testing.T) {
	t.Parallel()
	for names, mode := range map[string]os.FileMode{"": 0o600, "group:GID": 0o660, "group:GID user:1": 0o666, "user:1": 0o666, "user:0": 0o600} {
		roles := admin.NewRoles(uint32(os.Getuid()))
		for _, name := range strings.Fields(strings.ReplaceAll(names, "GID", gid())) {
			if err := roles.Grant(principal.Viewer, "test", []string{name}); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(t.TempDir(), "s")
		l, err := admin.Listen(t.Context(), path, roles)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v", names, info.Mode(), err)
		}
		if _, err := admin.Listen(t.Context(), path, roles); fault.Of(err).Exit != fault.Config {
			t.Errorf("a second listener: %v", err)
		}
		_ = l.Close()
	}
	if _, err := admin.Listen(t.Context(), "/"+strings.Repeat("x", admin.MaxPath), admin.NewRoles(0)); fault.Of(err).Exit != fault.Config {
		t.Errorf("a long path: %v", err)
	}
}

func gid() string { return strconv.Itoa(os.Getgid()) }
