package sandbox

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Threads is what is seen of the threads of a child from outside.
const Threads = "threads"

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Inspect looks at a running child from outside, through its files in
// proc/PID; fsys is os.DirFS("/") but in tests. Only root and the child's own
// user may read all of them; the rest is unknown. A keyholder has to be held
// more tightly than a prover.
func Inspect(fsys fs.FS, pid int, profile Profile) []Probe {
	dir := path.Join("proc", strconv.Itoa(pid))
	probes := []Probe{threads(fsys, dir), identity(fsys, dir), environment(fsys, dir), descriptors(fsys, dir, profile)}
	if profile == Keyholder {
		probes = append(probes, region(fsys, dir))
	}
	return probes
}

// readStatus reads the fields of a status file.
func readStatus(fsys fs.FS, name string) (map[string]string, error) {
	text, err := fs.ReadFile(fsys, name)
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[key] = strings.TrimSpace(value)
		}
	}
	return fields, err
}

// threads wants no_new_privs and a filter on every one of them.
func threads(fsys fs.FS, dir string) Probe {
	p := Probe{ID: Threads, Source: "/" + dir + "/task/*/status", Remedy: "stop the server: a thread of this child is not confined", Effect: "D"}
	entries, err := fs.ReadDir(fsys, dir+"/task")
	if err != nil || len(entries) == 0 {
		p.Value = "cannot be read"
		return p
	}
	p.State, p.Value = StateOK, plural(len(entries), "thread")+", each with no_new_privs and a filter"
	for _, e := range entries {
		status, err := readStatus(fsys, dir+"/task/"+e.Name()+"/status")
		switch {
		case isNotExist(err): // it ended meanwhile
		case err != nil:
			p.State, p.Value = min(p.State, StateUnknown), "cannot be read"
		case status["NoNewPrivs"] != "1" || status["Seccomp"] != "2":
			p.State, p.Value = StateMissing, "thread "+e.Name()+" has no_new_privs "+status["NoNewPrivs"]+", seccomp "+status["Seccomp"]
			return settled(p)
		}
	}
	return settled(p)
}

// identity wants a user that is not root, and neither groups nor capabilities.
func identity(fsys fs.FS, dir string) Probe {
	p := Probe{ID: "identity", Source: "/" + dir + "/status", Remedy: measures[User].remedy, Effect: measures[User].effect}
	status, err := readStatus(fsys, dir+"/status")
	uid, _, _ := strings.Cut(status["Uid"], "\t")
	if err != nil || uid == "" {
		p.Value = "cannot be read"
		return p
	}
	p.Value = "user " + uid + ", capabilities " + status["CapEff"] + ", groups " + strings.Join(strings.Fields(status["Groups"]), " ") + ", locked " + status["VmLck"]
	switch {
	case strings.Trim(status["CapEff"], "0") != "" || uid == "0":
		p.State = StateMissing
	case status["Groups"] != "":
		p.State = StateWeak
	default:
		p.State = StateOK
	}
	return settled(p)
}

func environment(fsys fs.FS, dir string) Probe {
	p := Probe{ID: "environment", Source: "/" + dir + "/environ", Remedy: "report this as a fault", Effect: "none"}
	text, err := fs.ReadFile(fsys, dir+"/environ")
	switch {
	case err != nil:
		p.Value = "cannot be read"
	case len(text) > 0:
		p.State, p.Value = StateWeak, "not empty"
	default:
		p.State, p.Value = StateOK, "empty"
	}
	return settled(p)
}

// descriptors wants nothing but the standard streams, sockets and the poller.
func descriptors(fsys fs.FS, dir string, profile Profile) Probe {
	p := Probe{ID: Descriptors, Source: "/" + dir + "/fd", Remedy: "report this as a fault", Effect: "none"}
	entries, err := fs.ReadDir(fsys, dir+"/fd")
	if err != nil {
		p.Value = "cannot be read"
		return p
	}
	sockets := 0
	p.State, p.Value = StateOK, plural(len(entries), "descriptor")
	for _, e := range entries {
		target, err := fs.ReadLink(fsys, dir+"/fd/"+e.Name())
		switch {
		case err != nil:
			continue // closed meanwhile
		case strings.HasPrefix(target, "socket:"):
			sockets++
		case target == "/dev/null", strings.HasPrefix(target, "anon_inode:"):
		default:
			p.State, p.Value = StateWeak, "also "+target
		}
	}
	if profile == Keyholder && sockets != 1 {
		p.State, p.Value = StateWeak, plural(sockets, "socket")
	}
	return settled(p)
}

// region looks for the memory of the keys by its flags: locked, not dumped, and
// not handed to a fork (lo, dd, dc) or wiped in it (wf).
func region(fsys fs.FS, dir string) Probe {
	p := Probe{ID: "key_region", Source: "/" + dir + "/smaps", Remedy: measures[KeyMemory].remedy, Effect: measures[KeyMemory].effect}
	text, err := fs.ReadFile(fsys, dir+"/smaps")
	if err != nil || len(text) == 0 {
		p.Value = "cannot be read"
		return p
	}
	p.State, p.Value = StateMissing, "no mapping is locked and kept from dumps and forks"
	secret := false
	for line := range strings.Lines(string(text)) {
		if first, _, _ := strings.Cut(line, " "); strings.Contains(first, "-") {
			secret = strings.Contains(line, "/secretmem")
		}
		flags, ok := strings.CutPrefix(line, "VmFlags:")
		switch {
		case !ok:
		case secret && words("lo", "dd", "dc")(flags) == StateOK:
			p.State, p.Value = StateOK, "secretmem, locked, not dumped, not inherited"
		case p.State == StateMissing && words("lo", "dd", "wf")(flags) == StateOK:
			p.State, p.Value = StateWeak, "locked, not dumped, wiped on fork"
		}
	}
	return settled(p)
}
