package secret_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/secret"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == limitArgument {
		os.Exit(limited())
	}
	os.Exit(m.Run())
}

// With a limit of locked memory that is too small for it, a region is plain,
// and its report says why, what is needed and what is allowed.
func TestLimit(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", limitArgument)
	if os.Getuid() == 0 { // whom no limit binds
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"plain", "limit 65536", "mlock: cannot allocate memory", "memfd_secret: "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the report %q does not say %q", out, want)
		}
	}
}

const limitArgument = "limited"

// limited prints the report of a region larger than its limit.
func limited() int {
	small := unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &small); err != nil {
		fmt.Println(err)
		return 1
	}
	r, err := secret.New(100_000, secret.SecretMem)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(r.Report())
	m, err := secret.Place[[100_000]byte](r)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	m[99_999] = 1
	return 0
}

// No process can read secretmem through /proc, not even the process itself. The
// other levels can be read, so the test would notice a difference.
func TestProcMem(t *testing.T) {
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	for _, best := range []secret.Level{secret.Plain, secret.Locked, secret.SecretMem} {
		r := newRegion(t, 1, best)
		b, err := r.Bytes(8)
		if err != nil {
			t.Fatal(err)
		}
		copy(b, "01234567")
		got := make([]byte, 8)
		_, err = mem.ReadAt(got, int64(uintptr(unsafe.Pointer(&b[0]))))
		switch r.Report().Level {
		case secret.SecretMem:
			if !errors.Is(err, unix.EIO) {
				t.Errorf("secretmem reads as %q, %v", got, err)
			}
		default:
			if err != nil || string(got) != "01234567" {
				t.Errorf("%v reads as %q, %v: this test cannot see", best, got, err)
			}
		}
	}
}

// The kernel shows the flags of a mapping: locked, not dumped, wiped or left
// out on fork.
func TestFlags(t *testing.T) {
	for best, want := range map[secret.Level]string{
		secret.Plain: "wf dd", secret.Locked: "lo wf dd", secret.SecretMem: "lo dc dd",
	} {
		r := newRegion(t, 1, best)
		if r.Report().Level != best {
			t.Logf("%v is not to be had: %s", best, r.Report().Missing)
			continue
		}
		flags := vmFlags(t, uintptr(unsafe.Pointer(&r.All()[0])))
		for _, f := range strings.Fields(want) {
			if !strings.Contains(flags, " "+f+" ") {
				t.Errorf("%v has the flags %q, without %s", best, flags, f)
			}
		}
	}
}

func vmFlags(t *testing.T, at uintptr) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(b)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			inside = from <= at && at < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && inside {
			return strings.TrimSuffix(flags, "\n") + " "
		}
	}
	t.Fatal("the mapping is not in smaps")
	return ""
}
