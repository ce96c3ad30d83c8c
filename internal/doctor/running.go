package doctor

import (
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/terradourada/td/internal/sandbox"
)

// running inspects the children of the server that runs on the data directory.
// Without the rights of that server most of it is unknown.
func (d *doctor) running() {
	if !d.lock.Held || d.lock.PID == 0 {
		return
	}
	root := os.DirFS("/")
	for _, c := range confinedChildren(root, d.lock.PID) {
		for _, p := range sandbox.Inspect(root, c.pid, c.profile) {
			if p.State == sandbox.StateUnknown {
				p.Remedy = "run td doctor as root"
			}
			d.add(sectionRunning+c.kind, p)
		}
	}
}

// confined is a child that a server has started.
type confined struct {
	kind    string
	pid     int
	profile sandbox.Profile
}

// confinedChildren returns the children of a server. It finds them by their
// parent, which is the server or its launcher, and by their first argument. fsys
// is the root of the file system.
func confinedChildren(fsys fs.FS, parent int) (children []confined) {
	entries, err := fs.ReadDir(fsys, "proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || parentIn(fsys, e.Name()) != parent {
			continue
		}
		line, _ := fs.ReadFile(fsys, "proc/"+e.Name()+"/cmdline")
		args := strings.Split(string(line), "\x00")
		if len(args) < 2 {
			continue
		}
		switch kind := strings.TrimPrefix(args[1], "internal-"); kind {
		case "launcher":
			children = append(children, confinedChildren(fsys, pid)...)
		case sectionSigner, sectionTagger:
			children = append(children, confined{kind, pid, sandbox.Keyholder})
		case "prover":
			children = append(children, confined{kind, pid, sandbox.Prover})
		}
	}
	return children
}

// parentIn returns the parent of a process, 0 if there is none.
func parentIn(fsys fs.FS, pid string) int {
	text, _ := fs.ReadFile(fsys, "proc/"+pid+"/status")
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "PPid:"); ok {
			parent, _ := strconv.Atoi(strings.TrimSpace(value)) // 0 if it is no number
			return parent
		}
	}
	return 0
}
