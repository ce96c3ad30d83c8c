package sandbox

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// CoreConfig says what the core, which reads what clients send, goes on needing.
type CoreConfig struct {
	// Writable are directories it reads and writes all below; those that do not
	// exist are left out.
	Writable []string

	// Readable are files that it reads, and directories whose files it reads; those
	// that do not exist are left out.
	Readable []string

	// Trees are directories whose files and directories it reads; those that do not
	// exist are left out.
	Trees []string

	// UID is the user and group id to become when the process is root; 0 stays
	// root, without capabilities.
	UID int

	// Launcher is whether another process starts the children, and Closed
	// whether these are closed to other processes of their user from their first
	// instruction.
	Launcher, Closed bool
}

// coreState judges by what is seen of its threads whether this process could
// open its children. uid is the user it should be, dropped whether it became
// that user, emptied whether the bounding set was emptied, and owner the user
// who made the user namespace of this process, -1 if that is not known.
func coreState(fsys fs.FS, cfg CoreConfig, uid int, dropped, emptied bool, owner int) Probe {
	value := "user " + strconv.Itoa(uid) + ", no capability"
	if !cfg.Launcher {
		return Measure(Core, StateMissing, value+", but it starts its children itself")
	}
	if fault := threadFault(fsys, uid, dropped, emptied); fault != "" {
		return Measure(Core, StateMissing, fault)
	}
	value += ", launcher apart"
	switch {
	case uid == 0:
		return Measure(Core, StateWeak, value)
	case owner < 0:
		return Measure(Core, StateWeak, value+", but who owns the user namespace cannot be found out")
	case owner == uid:
		return Measure(Core, StateWeak, value+", but this user owns the user namespace")
	case !dropped && !cfg.Closed:
		return Measure(Core, StateWeak, value+", but keyholders of this user are open while they start")
	case !dropped:
		value += ", keyholders closed from the start"
	}
	return Measure(Core, StateOK, value)
}

// idMapped reports whether the user namespace of this process has a user and a
// group of an id.
func idMapped(fsys fs.FS, id int) bool {
	for _, name := range []string{"proc/self/uid_map", "proc/self/gid_map"} {
		text, err := fs.ReadFile(fsys, name)
		found := false
		for line := range strings.Lines(string(text)) {
			var inside, outside, count int
			n, _ := fmt.Sscan(line, &inside, &outside, &count)
			found = found || n == 3 && inside <= id && id-inside < count
		}
		if err != nil || !found {
			return false
		}
	}
	return true
}

// threadFault is what a thread of this process still has, "" if none has
// anything.
func threadFault(fsys fs.FS, uid int, dropped, emptied bool) string {
	const dir = "proc/self/task"
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil || len(entries) == 0 {
		return "its threads cannot be seen"
	}
	for _, e := range entries {
		status, err := readStatus(fsys, dir+"/"+e.Name()+"/status")
		if isNotExist(err) {
			continue // it ended meanwhile
		}
		if err != nil {
			return "its threads cannot be seen"
		}
		want := map[string]string{"NoNewPrivs": "1"}
		sets := []string{"CapInh", "CapPrm", "CapEff", "CapAmb"}
		if emptied {
			sets = append(sets, "CapBnd")
		}
		for _, set := range sets {
			want[set] = "0000000000000000"
		}
		if dropped {
			want["Groups"] = ""
			want["Gid"] = strings.Repeat(strconv.Itoa(uid)+"\t", 3) + strconv.Itoa(uid)
		}
		want["Uid"] = strings.Repeat(strconv.Itoa(uid)+"\t", 3) + strconv.Itoa(uid)
		for _, field := range append(sets, "NoNewPrivs", "Uid", "Gid", "Groups") {
			expected, judged := want[field]
			if got, there := status[field]; judged && (!there || got != expected) {
				return fmt.Sprintf("thread %s has %s %s", e.Name(), field, strings.ReplaceAll(got, "\t", " "))
			}
		}
	}
	return ""
}
