// Package proctest starts servers and finds processes of td in /proc, for tests.
package proctest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Children returns the process ids of the td children of a process, by kind. A
// process that was not reaped is none.
func Children(parent int) map[string]int {
	found := map[string]int{}
	names, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, name := range names {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if state, of := State(pid); of != parent || state == "Z" {
			continue
		}
		if kind := Kind(pid); kind != "" {
			found[kind] = pid
		}
	}
	return found
}

// State reads /proc/PID/stat: "pid (name) state ppid ...". The state of a process
// that does not exist is empty.
func State(pid int) (state string, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

// Kind returns which child of td a process is by its command line, and "" if it is
// none.
func Kind(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // one that has ended is none
	args := strings.Split(string(b), "\x00")
	if len(args) < 2 || args[0] != "td" {
		return ""
	}
	kind, _ := strings.CutPrefix(args[1], "internal-")
	if kind == args[1] {
		return ""
	}
	return kind
}

// Gone reports whether no process of that kind has the id any more; one that was
// not reaped counts as gone.
func Gone(pid int, kind string) bool {
	state, _ := State(pid)
	return state == "" || state == "Z" || Kind(pid) != kind
}
