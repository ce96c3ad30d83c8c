package sandbox

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Host looks at the machine through its files: fsys is os.DirFS("/") but in
// tests. It needs no privileges and changes nothing; what it may not read is
// unknown.
func Host(fsys fs.FS) []Probe {
	probes := []Probe{swapAreas(fsys)}
	for _, f := range hostFiles() {
		probes = append(probes, f.probe(fsys))
	}
	return append(probes, cpuFlaws(fsys), trusted(fsys), container(fsys))
}

// hostFile is a measure that is read from one file.
type hostFile struct {
	id, path string
	judge    func(value string) State // nil: that the file is there is weak
	within   string                   // a directory that must exist for the absence of the file to mean something
	absent   State                    // what absence means then
	remedy   string
	effect   string
}

func hostFiles() []hostFile {
	const (
		proc     = "proc/sys/kernel"
		sys      = "sys/kernel"
		sandboxy = "none: the children turn it off for themselves"
		readable = "none: what root of this machine may read"
	)
	return []hostFile{
		{"zswap", "sys/module/zswap/parameters/enabled", one("N", "0"), "sys/module", StateOK, "boot with zswap.enabled=0", "none while the key's memory is locked"},
		{"core_dumps", proc + "/core_pattern", not("|"), "", StateUnknown, "write core dumps to files, or turn systemd-coredump and apport off", sandboxy},
		{"suid_dumpable", "proc/sys/fs/suid_dumpable", one("0"), "", StateUnknown, "sysctl fs.suid_dumpable=0", sandboxy},
		{"ptrace", proc + "/yama/ptrace_scope", least(1), "", StateUnknown, "use a kernel with Yama and sysctl kernel.yama.ptrace_scope=1", "none: the children are not dumpable"},
		{"seccomp_actions", proc + "/seccomp/actions_avail", words("kill_process", "errno"), proc, StateMissing, "use kernel 4.14 or later with CONFIG_SECCOMP_FILTER", "D"},
		{"huge_pages", sys + "/mm/transparent_hugepage/enabled", not("[always]"), sys + "/mm", StateOK, "set transparent huge pages to madvise", sandboxy},
		{"page_merging", sys + "/mm/ksm/run", one("0"), sys + "/mm", StateOK, "echo 0 > /sys/kernel/mm/ksm/run", "none: only memory that asks for it is merged"},
		{"hibernation", "sys/power/state", not("disk"), sys, StateOK, "boot with nohibernate", "none while memfd_secret is in use, which blocks it"},
		{"kexec", proc + "/kexec_load_disabled", one("1"), proc, StateOK, "sysctl kernel.kexec_load_disabled=1", readable},
		{"crash_kernel", sys + "/kexec_crash_loaded", one("0"), sys, StateOK, "turn kdump off", readable},
		{"lockdown", sys + "/security/lockdown", not("[none]"), "", StateUnknown, "boot with lockdown=integrity", readable},
		{"dev_mem", "dev/mem", nil, "dev", StateOK, "use a kernel without CONFIG_DEVMEM", readable},
		{"kcore", "proc/kcore", nil, "proc", StateOK, "use a kernel without CONFIG_PROC_KCORE", readable},
		{"bpf", proc + "/unprivileged_bpf_disabled", least(1), proc, StateOK, "sysctl kernel.unprivileged_bpf_disabled=2", "none"},
		{"perf", proc + "/perf_event_paranoid", least(2), proc, StateOK, "sysctl kernel.perf_event_paranoid=2", "none"},
		{"userfaultfd", "proc/sys/vm/unprivileged_userfaultfd", one("0"), "proc/sys/vm", StateOK, "sysctl vm.unprivileged_userfaultfd=0", "none"},
		{"smt", "sys/devices/system/cpu/smt/active", one("0"), "sys/devices/system/cpu", StateOK, "boot with nosmt, if strangers run programs on this machine", "none"},
	}
}

func (f *hostFile) probe(fsys fs.FS) Probe {
	p := Probe{ID: f.id, Source: "/" + f.path, Remedy: f.remedy, Effect: f.effect}
	value, err := readOne(fsys, f.path, f.judge != nil)
	switch {
	case err == nil && f.judge == nil:
		p.State, p.Value = StateWeak, "is there"
	case err == nil:
		p.State, p.Value = f.judge(value), value
	case isAbsent(fsys, f, err):
		p.State, p.Value = f.absent, "not in this kernel"
	default:
		p.State, p.Value = StateUnknown, "cannot be read"
	}
	return settled(p)
}

// isAbsent distinguishes a feature that is missing from a file system that is.
func isAbsent(fsys fs.FS, f *hostFile, err error) bool {
	if !isNotExist(err) || f.within == "" {
		return false
	}
	_, err = fs.Stat(fsys, f.within)
	return err == nil
}

// settled leaves out what to do about a probe that is ok, and bounds its value.
func settled(p Probe) Probe {
	p.Value = printable(p.Value)
	if p.State == StateOK {
		p.Remedy, p.Effect = "", ""
	}
	return p
}

// readOne reads a file of one line, or only looks whether it is there.
func readOne(fsys fs.FS, name string, content bool) (string, error) {
	if !content {
		_, err := fs.Stat(fsys, name)
		return "", err
	}
	b, err := fs.ReadFile(fsys, name)
	return strings.TrimSpace(string(b)), err
}

// one is ok for these values alone.
func one(good ...string) func(string) State {
	return func(value string) State { return okIf(slices.Contains(good, value)) }
}

// not is ok for values without this text.
func not(bad string) func(string) State {
	return func(value string) State { return okIf(!strings.Contains(value, bad)) }
}

// words is ok for lists that hold all of these.
func words(needed ...string) func(string) State {
	return func(value string) State {
		list := strings.Fields(value)
		for _, w := range needed {
			if !slices.Contains(list, w) {
				return StateMissing
			}
		}
		return StateOK
	}
}

// least is ok for numbers from n.
func least(n int) func(string) State {
	return func(value string) State {
		got, err := strconv.Atoi(value)
		if err != nil {
			return StateUnknown
		}
		return okIf(got >= n)
	}
}

func okIf(good bool) State {
	if good {
		return StateOK
	}
	return StateWeak
}

// swapAreas reports whether memory of this process can be swapped: the machine
// has no swap, or the control group may use none of it.
func swapAreas(fsys fs.FS) Probe {
	text, err := fs.ReadFile(fsys, "proc/swaps")
	if err != nil {
		return Measure(Swap, StateUnknown, "/proc/swaps cannot be read")
	}
	n := strings.Count(strings.TrimSpace(string(text)), "\n")
	switch {
	case n == 0:
		return Measure(Swap, StateOK, "none")
	case groupSwap(fsys) == "0":
		return Measure(Swap, StateOK, "none for this control group")
	default:
		return Measure(Swap, StateWeak, plural(n, "swap area"))
	}
}

// groupSwap is memory.swap.max of this process's control group, "" if there is
// none.
func groupSwap(fsys fs.FS) string {
	text, _ := fs.ReadFile(fsys, "proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		if group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/"); ok {
			b, _ := fs.ReadFile(fsys, path.Join("sys/fs/cgroup", path.Clean("/"+group), "memory.swap.max"))
			return strings.TrimSpace(string(b))
		}
	}
	return ""
}

// cpuFlaws lists the flaws of the processor that nothing is done about.
func cpuFlaws(fsys fs.FS) Probe {
	const dir = "sys/devices/system/cpu/vulnerabilities"
	p := Probe{ID: "cpu_flaws", Source: "/" + dir, Remedy: "update kernel and microcode; do not boot with mitigations=off", Effect: "none"}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		p.Value = "cannot be read"
		return p
	}
	var open []string
	for _, e := range entries {
		if text, err := fs.ReadFile(fsys, dir+"/"+e.Name()); err != nil || strings.HasPrefix(string(text), "Vulnerable") {
			open = append(open, e.Name())
		}
	}
	p.State, p.Value = okIf(len(open) == 0), plural(len(entries), "flaw")+" listed, all mitigated or not this processor's"
	if len(open) > 0 {
		p.Value = "open: " + strings.Join(open, ", ")
	}
	return settled(p)
}

// trusted looks for hardware that could speak for the machine. That it is there
// says neither that it answers nor what it would say.
func trusted(fsys fs.FS) Probe {
	var found []string
	for _, device := range []string{"dev/sev-guest", "dev/tdx_guest", "dev/tpmrm0", "dev/nsm", "dev/sgx_enclave", "dev/tee0", "sys/kernel/config/tsm/report"} {
		if _, err := fs.Stat(fsys, device); err == nil {
			found = append(found, "/"+device)
		}
	}
	text, _ := fs.ReadFile(fsys, "proc/cpuinfo")
	flags := processorFlags(string(text))
	for _, f := range []string{"sev", "sev_es", "sev_snp", "tdx_guest", "sgx", "sme"} {
		if slices.Contains(flags, f) {
			found = append(found, "flag "+f)
		}
	}
	p := Probe{ID: "tee", State: StateMissing, Value: "none detected", Source: "/dev, /sys/kernel/config/tsm, /proc/cpuinfo", Remedy: "see the probe attestation", Effect: "none"}
	if len(found) > 0 {
		p.State, p.Value = StateWeak, "detected: "+strings.Join(found, ", ")
	}
	return settled(p)
}

func processorFlags(cpuinfo string) []string {
	for line := range strings.Lines(cpuinfo) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "flags" {
			return strings.Fields(value)
		}
	}
	return nil
}

// container says in what this process is confined already; it is neither good
// nor bad.
func container(fsys fs.FS) Probe {
	p := Probe{ID: "container", Source: "/proc/self/uid_map, /proc/self/status, /proc/self/cgroup", Effect: "none"}
	ids, err := fs.ReadFile(fsys, "proc/self/uid_map")
	status, serr := readStatus(fsys, "proc/self/status")
	if err != nil || serr != nil {
		p.Value = "cannot be read"
		return p
	}
	p.State, p.Value = StateOK, "all user ids of the machine"
	if f := strings.Fields(string(ids)); len(f) != 3 || f[2] != "4294967295" {
		p.Value = "user namespace"
	}
	if status["Seccomp"] != "0" {
		p.Value += ", under a seccomp filter of another program"
	}
	return settled(p)
}
