package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// processes are the ids of a process and everything it had started when they
// were listed, the process itself first.
type processes []int

// processesOf lists a process and its living descendants.
func processesOf(root int) (processes, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err1 := strconv.Atoi(e.Name())
		parent, err2 := strconv.Atoi(lineOf(filepath.Join("/proc", e.Name(), "status"), "PPid"))
		if err1 == nil && err2 == nil { // the process has not ended
			children[parent] = append(children[parent], pid)
		}
	}
	all := processes{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// thisProcess is the program itself without its children.
func thisProcess() processes { return processes{os.Getpid()} }

// cpu returns the processor time they have used, user and system. One that has
// ended is an error: what it used would be missing.
func (p processes) cpu() (total time.Duration, err error) {
	for _, pid := range p {
		used, err := cpuOf(pid)
		if err != nil {
			return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
		}
		total += used
	}
	return total, nil
}

// spent returns the processor time that they use while f runs, and the time that
// passes.
func (p processes) spent(f func() error) (used, wall time.Duration, err error) {
	before, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return 0, 0, err
	}
	wall = time.Since(began)
	after, err := p.cpu()
	return after - before, wall, err
}

// started returns the process that has an argument.
func (p processes) started(argument string) (int, error) {
	for _, pid := range p {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(line), "\x00"+argument) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("no process was started with %s", argument)
}

// memory is the main memory of one process, in MiB: all of it, and the part that is no
// file's.
type memory struct{ resident, own float64 }

func memoryOf(pid int) (m memory, err error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	if m.resident, err = mebibytes(lineOf(path, "VmRSS")); err != nil {
		return m, err
	}
	m.own, err = mebibytes(lineOf(path, "RssAnon"))
	return m, err
}

func mebibytes(s string) (float64, error) {
	kibi, err := strconv.ParseFloat(strings.TrimSuffix(s, " kB"), 64)
	if err != nil {
		return 0, fmt.Errorf("the kernel reports no memory figure: %w", err)
	}
	return kibi / 1024, nil
}
