package sandbox_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/terradourada/td/internal/sandbox"
)

// threadStatus is the status file of a thread that has given up everything.
const threadStatus = "Name:\ttd\nUid:\t65523\t65523\t65523\t65523\nGid:\t65523\t65523\t65523\t65523\nGroups:\t \n" +
	"CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n"

// threads are two of a core; the second is changed as "old=new".
func threads(change string) fstest.MapFS {
	old, replacement, _ := strings.Cut(change, "=")
	second := strings.Replace(threadStatus, old, replacement, 1)
	return fstest.MapFS{
		"proc/self/task/10/status": {Data: []byte(threadStatus)},
		"proc/self/task/11/status": {Data: []byte(second)},
	}
}

func TestCoreState(t *testing.T) {
	apart := sandbox.CoreConfig{Launcher: true}
	closed := sandbox.CoreConfig{Launcher: true, Closed: true}
	for name, c := range map[string]struct {
		change  string
		cfg     sandbox.CoreConfig
		uid     int
		dropped bool
		owner   int
		state   sandbox.State
		value   string
	}{
		"root that became another":   {"", apart, 65523, true, 0, sandbox.StateOK, "user 65523, no capability, launcher apart"},
		"a user, closed children":    {"", closed, 65523, false, 0, sandbox.StateOK, "launcher apart, keyholders closed from the start"},
		"a user, open children":      {"", apart, 65523, false, 0, sandbox.StateWeak, "are open while they start"},
		"its own namespace":          {"", closed, 65523, false, 65523, sandbox.StateWeak, "owns the user namespace"},
		"an unknown namespace owner": {"", closed, 65523, true, -1, sandbox.StateWeak, "cannot be found out"},
		"no launcher":                {"", sandbox.CoreConfig{Closed: true}, 65523, true, 0, sandbox.StateMissing, "starts its children itself"},
		"another user":               {"", closed, 1000, true, 0, sandbox.StateMissing, "thread 10 has Uid 65523 65523 65523 65523"},
		"one thread is root":         {"Uid:\t65523\t65523=Uid:\t65523\t0", closed, 65523, true, 0, sandbox.StateMissing, "thread 11 has Uid 65523 0 65523 65523"},
		"one saved group":            {"65523\t65523\nGroups=0\t65523\nGroups", closed, 65523, true, 0, sandbox.StateMissing, "thread 11 has Gid"},
		"groups":                     {"Groups:\t =Groups:\t0 27", closed, 65523, true, 0, sandbox.StateMissing, "thread 11 has Groups 0 27"},
		"groups of a user":           {"Groups:\t =Groups:\t1000 27", closed, 65523, false, 0, sandbox.StateOK, ""},
		"permitted":                  {"CapPrm:\t0000000000000000=CapPrm:\t0000000000080000", closed, 65523, true, 0, sandbox.StateMissing, "thread 11 has CapPrm 0000000000080000"},
		"effective":                  {"CapEff:\t0000000000000000=CapEff:\t0000000000080000", closed, 65523, true, 0, sandbox.StateMissing, "CapEff"},
		"inheritable":                {"CapInh:\t0000000000000000=CapInh:\t0000000000080000", closed, 65523, true, 0, sandbox.StateMissing, "CapInh"},
		"bounding":                   {"CapBnd:\t0000000000000000=CapBnd:\t0000000000080000", closed, 65523, true, 0, sandbox.StateMissing, "CapBnd"},
		"ambient":                    {"CapAmb:\t0000000000000000=CapAmb:\t0000000000080000", closed, 65523, true, 0, sandbox.StateMissing, "CapAmb"},
		"no ambient line":            {"CapAmb=CapXyz", closed, 65523, true, 0, sandbox.StateMissing, "CapAmb"},
		"new privileges":             {"NoNewPrivs:\t1=NoNewPrivs:\t0", closed, 65523, true, 0, sandbox.StateMissing, "thread 11 has NoNewPrivs 0"},
	} {
		p := sandbox.CoreState(threads(c.change), c.cfg, c.uid, c.dropped, true, c.owner)
		if p.ID != sandbox.Core || p.State != c.state || !strings.Contains(p.Value, c.value) {
			t.Errorf("%s: %s is %s: %s", name, p.ID, p.State, p.Value)
		}
	}
	if p := sandbox.CoreState(fstest.MapFS{}, closed, 1, false, true, 0); p.State != sandbox.StateMissing {
		t.Errorf("without /proc it is %s: %s", p.State, p.Value)
	}
	// What cannot be given up is of no use to a process with no_new_privs.
	full := threads("CapBnd:\t0000000000000000=CapBnd:\t000001ffffffffff")
	if p := sandbox.CoreState(full, closed, 65523, false, false, 0); p.State != sandbox.StateOK {
		t.Errorf("with a bounding set that cannot be changed it is %s: %s", p.State, p.Value)
	}
	root := threads("")
	for name := range root {
		root[name].Data = []byte(strings.ReplaceAll(threadStatus, "65523", "0"))
	}
	if p := sandbox.CoreState(root, closed, 0, false, true, 0); p.State != sandbox.StateWeak {
		t.Errorf("root without capabilities is %s: %s", p.State, p.Value)
	}
}

func TestIDMapped(t *testing.T) {
	const whole, one, two = "         0          0 4294967295\n", "0 1000 1\n", "0 1000 1\n1 100000 65536\n"
	for _, c := range []struct {
		users, groups string
		id            int
		want          bool
	}{
		{whole, whole, 65523, true},
		{one, one, 0, true},
		{one, one, 65523, false},
		{two, two, 65523, true},
		{two, two, 65536, true},
		{two, two, 65537, false},
		{two, one, 65523, false},
		{one, two, 65523, false},
		{"", "", 0, false},
		{"nonsense\n", whole, 1, false},
	} {
		fsys := fstest.MapFS{"proc/self/uid_map": {Data: []byte(c.users)}, "proc/self/gid_map": {Data: []byte(c.groups)}}
		if got := sandbox.IDMapped(fsys, c.id); got != c.want {
			t.Errorf("%d in %q and %q: %v", c.id, c.users, c.groups, got)
		}
	}
	if sandbox.IDMapped(fstest.MapFS{}, 0) {
		t.Error("mapped without a map")
	}
}
