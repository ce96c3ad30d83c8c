package sandbox_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/terradourada/td/internal/sandbox"
)

// hardened are the files of a machine on which every measure is ok but the one
// that needs hardware.
func hardened() map[string]string {
	return map[string]string{
		"proc/swaps":                                      "Filename Type Size Used Priority\n",
		"proc/self/cgroup":                                "0::/system.slice/td.service\n",
		"proc/self/uid_map":                               "         0          0 4294967295\n",
		"proc/self/status":                                "Name:\ttd\nSeccomp:\t0\n",
		"proc/cpuinfo":                                    "processor : 0\nflags\t\t: fpu sse2\n",
		"sys/module/zswap/parameters/enabled":             "N\n",
		"proc/sys/kernel/core_pattern":                    "core\n",
		"proc/sys/fs/suid_dumpable":                       "0\n",
		"proc/sys/kernel/yama/ptrace_scope":               "1\n",
		"proc/sys/kernel/seccomp/actions_avail":           "kill_process kill_thread trap errno trace log allow\n",
		"sys/kernel/mm/transparent_hugepage/enabled":      "always [madvise] never\n",
		"sys/kernel/mm/ksm/run":                           "0\n",
		"sys/power/state":                                 "freeze mem\n",
		"proc/sys/kernel/kexec_load_disabled":             "1\n",
		"sys/kernel/kexec_crash_loaded":                   "0\n",
		"sys/kernel/security/lockdown":                    "none [integrity] confidentiality\n",
		"dev/null":                                        "",
		"proc/sys/kernel/unprivileged_bpf_disabled":       "2\n",
		"proc/sys/kernel/perf_event_paranoid":             "2\n",
		"proc/sys/vm/unprivileged_userfaultfd":            "0\n",
		"sys/devices/system/cpu/smt/active":               "0\n",
		"sys/devices/system/cpu/vulnerabilities/l1tf":     "Not affected\n",
		"sys/devices/system/cpu/vulnerabilities/retbleed": "Mitigation: IBRS\n",
	}
}

func machine(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o444}
	}
	return m
}

func find(t *testing.T, probes []sandbox.Probe, id string) sandbox.Probe {
	t.Helper()
	i := slices.IndexFunc(probes, func(p sandbox.Probe) bool { return p.ID == id })
	if i < 0 {
		t.Fatalf("no probe %s", id)
	}
	return probes[i]
}

func TestHostHardened(t *testing.T) {
	for _, p := range sandbox.Host(machine(hardened())) {
		if want := p.ID == "tee"; (p.State != sandbox.StateOK) != want {
			t.Errorf("%s is %s: %s", p.ID, p.State, p.Value)
		}
		if (p.State == sandbox.StateOK) != (p.Remedy == "") {
			t.Errorf("%s is %s and its remedy is %q", p.ID, p.State, p.Remedy)
		}
	}
}

func TestHost(t *testing.T) {
	const gone = "\x00"
	for _, c := range []struct {
		id, file, text string
		want           sandbox.State
	}{
		{"swap", "proc/swaps", "Filename\n/dev/zram0 partition 1 0 100\n", sandbox.StateWeak},
		{"swap", "proc/swaps", gone, sandbox.StateUnknown},
		{"zswap", "sys/module/zswap/parameters/enabled", "Y\n", sandbox.StateWeak},
		{"zswap", "sys/module/zswap/parameters/enabled", gone, sandbox.StateUnknown}, // nor is there a sys/module
		{"core_dumps", "proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump %P\n", sandbox.StateWeak},
		{"core_dumps", "proc/sys/kernel/core_pattern", gone, sandbox.StateUnknown},
		{"suid_dumpable", "proc/sys/fs/suid_dumpable", "2\n", sandbox.StateWeak},
		{"ptrace", "proc/sys/kernel/yama/ptrace_scope", "0\n", sandbox.StateWeak},
		{"ptrace", "proc/sys/kernel/yama/ptrace_scope", gone, sandbox.StateUnknown}, // no Yama
		{"ptrace", "proc/sys/kernel/yama/ptrace_scope", "odd\n", sandbox.StateUnknown},
		{"seccomp_actions", "proc/sys/kernel/seccomp/actions_avail", "kill_thread trap errno\n", sandbox.StateMissing},
		{"seccomp_actions", "proc/sys/kernel/seccomp/actions_avail", gone, sandbox.StateMissing},
		{"huge_pages", "sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n", sandbox.StateWeak},
		{"page_merging", "sys/kernel/mm/ksm/run", "1\n", sandbox.StateWeak},
		{"page_merging", "sys/kernel/mm/ksm/run", gone, sandbox.StateOK},
		{"hibernation", "sys/power/state", "freeze mem disk\n", sandbox.StateWeak},
		{"hibernation", "sys/power/state", gone, sandbox.StateOK},
		{"kexec", "proc/sys/kernel/kexec_load_disabled", "0\n", sandbox.StateWeak},
		{"kexec", "proc/sys/kernel/kexec_load_disabled", gone, sandbox.StateOK},
		{"crash_kernel", "sys/kernel/kexec_crash_loaded", "1\n", sandbox.StateWeak},
		{"lockdown", "sys/kernel/security/lockdown", "[none] integrity confidentiality\n", sandbox.StateWeak},
		{"lockdown", "sys/kernel/security/lockdown", gone, sandbox.StateUnknown}, // securityfs may not be mounted
		{"dev_mem", "dev/mem", "", sandbox.StateWeak},
		{"kcore", "proc/kcore", "", sandbox.StateWeak},
		{"bpf", "proc/sys/kernel/unprivileged_bpf_disabled", "0\n", sandbox.StateWeak},
		{"perf", "proc/sys/kernel/perf_event_paranoid", "1\n", sandbox.StateWeak},
		{"perf", "proc/sys/kernel/perf_event_paranoid", "-1\n", sandbox.StateWeak},
		{"userfaultfd", "proc/sys/vm/unprivileged_userfaultfd", "1\n", sandbox.StateWeak},
		{"smt", "sys/devices/system/cpu/smt/active", "1\n", sandbox.StateWeak},
		{"cpu_flaws", "sys/devices/system/cpu/vulnerabilities/l1tf", "Vulnerable: no microcode\n", sandbox.StateWeak},
		{"tee", "dev/tpmrm0", "", sandbox.StateWeak},
		{"tee", "dev/sgx_enclave", "", sandbox.StateWeak},
		{"tee", "dev/tee0", "", sandbox.StateWeak}, // TrustZone
		{"tee", "proc/cpuinfo", "flags : fpu sme\n", sandbox.StateWeak},
		{"container", "proc/self/uid_map", "0 1000 1\n", sandbox.StateOK},
		{"container", "proc/self/status", gone, sandbox.StateUnknown},
	} {
		files := hardened()
		files[c.file] = c.text
		if c.text == gone {
			delete(files, c.file)
		}
		p := find(t, sandbox.Host(machine(files)), c.id)
		if p.State != c.want {
			t.Errorf("%s with %q in %s is %s (%s), want %s", c.id, c.text, c.file, p.State, p.Value, c.want)
		}
		if p.Source == "" || p.Value == "" || p.State != sandbox.StateOK && p.Effect == "" {
			t.Errorf("%s does not say all: %+v", c.id, p)
		}
	}
}

// TestHostUnknown: on a machine that shows nothing, nothing is ok.
func TestHostUnknown(t *testing.T) {
	for _, p := range sandbox.Host(fstest.MapFS{}) {
		if p.State == sandbox.StateOK {
			t.Errorf("%s is ok: %s", p.ID, p.Value)
		}
	}
}

func TestSwapOfTheControlGroup(t *testing.T) {
	files := hardened()
	files["proc/swaps"] = "Filename\n/swapfile file 1 0 -2\n"
	files["sys/fs/cgroup/system.slice/td.service/memory.swap.max"] = "0\n"
	if p := find(t, sandbox.Host(machine(files)), sandbox.Swap); p.State != sandbox.StateOK {
		t.Errorf("%s: %s", p.State, p.Value)
	}
	files["sys/fs/cgroup/system.slice/td.service/memory.swap.max"] = "max\n"
	if p := find(t, sandbox.Host(machine(files)), sandbox.Swap); p.State != sandbox.StateWeak {
		t.Errorf("%s: %s", p.State, p.Value)
	}
}

// TestThisMachine: the real one answers every question somehow, as any user.
func TestThisMachine(t *testing.T) {
	probes := append(sandbox.Host(os.DirFS("/")), sandbox.Machine()...)
	for _, p := range probes {
		t.Logf("%-16s %-8s %s", p.ID, p.State, p.Value)
		if p.ID == "" || p.Value == "" || p.Source == "" {
			t.Errorf("a probe that does not say all: %+v", p)
		}
	}
}

func TestBuild(t *testing.T) {
	good := map[string]string{"CGO_ENABLED": "0", "GOEXPERIMENT": "jsonv2,runtimesecret", "vcs.revision": "0123456789abcdef"}
	if p := sandbox.BuildOf("go1.26.8 X:runtimesecret", good); p.State != sandbox.StateOK || !strings.Contains(p.Value, "revision 0123456789ab") {
		t.Errorf("%s: %s", p.State, p.Value)
	}
	for key, c := range map[string]struct {
		value string
		want  sandbox.State
	}{
		"GOEXPERIMENT": {"", sandbox.StateWeak},
		"CGO_ENABLED":  {"1", sandbox.StateMissing},
		"-race":        {"true", sandbox.StateMissing},
	} {
		settings := map[string]string{key: c.value}
		for k, v := range good {
			if k != key {
				settings[k] = v
			}
		}
		if p := sandbox.BuildOf("go1.26.8", settings); p.State != c.want {
			t.Errorf("%s=%s: %s: %s", key, c.value, p.State, p.Value)
		}
	}
}

// lockedUp are the files of a sandboxed keyholder.
func lockedUp() map[string]string {
	thread := "NoNewPrivs:\t1\nSeccomp:\t2\n"
	return map[string]string{
		"proc/7/status":        "Uid:\t65520\t65520\t65520\t65520\nGroups:\t \nVmLck:\t 104 kB\nCapEff:\t0000000000000000\n" + thread,
		"proc/7/task/7/status": thread,
		"proc/7/task/8/status": thread,
		"proc/7/environ":       "",
		"proc/7/smaps":         "7f00-7f01 rw-s 00000000 00:01 5 /secretmem (deleted)\nVmFlags: rd wr sh mr mw me ms lo dc dd\n8000-8001 rw-p 0 0 0\nVmFlags: rd wr\n",
	}
}

func inspected(files map[string]string, links ...string) fstest.MapFS {
	m := machine(files)
	if links == nil {
		links = []string{"/dev/null", "/dev/null", "/dev/null", "socket:[1]", "anon_inode:[eventpoll]", "anon_inode:[eventfd]"}
	}
	for i, target := range links {
		m["proc/7/fd/"+strconv.Itoa(i)] = &fstest.MapFile{Data: []byte(target), Mode: os.ModeSymlink | 0o777}
	}
	return m
}

func TestInspect(t *testing.T) {
	for _, p := range sandbox.Inspect(inspected(lockedUp()), 7, sandbox.Keyholder) {
		if p.State != sandbox.StateOK {
			t.Errorf("%s is %s: %s", p.ID, p.State, p.Value)
		}
	}
	for _, c := range []struct {
		id, file, from, to string
		want               sandbox.State
	}{
		{"threads", "proc/7/task/8/status", "Seccomp:\t2", "Seccomp:\t0", sandbox.StateMissing},
		{"threads", "proc/7/task/8/status", "NoNewPrivs:\t1", "NoNewPrivs:\t0", sandbox.StateMissing},
		{"identity", "proc/7/status", "Uid:\t65520", "Uid:\t0", sandbox.StateMissing},
		{"identity", "proc/7/status", "CapEff:\t0000000000000000", "CapEff:\t0000000000004000", sandbox.StateMissing},
		{"identity", "proc/7/status", "Groups:\t ", "Groups:\t0 4 ", sandbox.StateWeak},
		{"environment", "proc/7/environ", "", "HOME=/root", sandbox.StateWeak},
		{"key_region", "proc/7/smaps", "/secretmem", "/other", sandbox.StateMissing},
		{"key_region", "proc/7/smaps", "VmFlags: rd wr\n", "VmFlags: rd wr lo wf dd\n", sandbox.StateOK}, // the better one counts
		{"key_region", "proc/7/smaps", "ms lo dc dd", "ms lo wf dd", sandbox.StateWeak},
		{"key_region", "proc/7/smaps", "ms lo dc dd", "ms dc dd", sandbox.StateMissing},
	} {
		files := lockedUp()
		files[c.file] = strings.Replace(files[c.file], c.from, c.to, 1)
		if p := find(t, sandbox.Inspect(inspected(files), 7, sandbox.Keyholder), c.id); p.State != c.want {
			t.Errorf("%s with %q: %s (%s), want %s", c.id, c.to, p.State, p.Value, c.want)
		}
	}
	for _, links := range [][]string{{"/dev/null", "socket:[1]", "/var/lib/journal.db"}, {"/dev/null", "socket:[1]", "/sys/fs/cgroup/cpu.max"}, {"socket:[1]", "socket:[2]"}, {"/dev/null"}} {
		if p := find(t, sandbox.Inspect(inspected(lockedUp(), links...), 7, sandbox.Keyholder), "descriptors"); p.State != sandbox.StateWeak {
			t.Errorf("descriptors %q: %s (%s)", links, p.State, p.Value)
		}
	}
	for _, p := range sandbox.Inspect(fstest.MapFS{}, 7, sandbox.Keyholder) {
		if p.State != sandbox.StateUnknown {
			t.Errorf("%s of a process that is not there is %s", p.ID, p.State)
		}
	}
}
