package ledger_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/ledger"
)

// TestInProcessOfItsOwn runs the tests that change or count what all tests of a
// process share, each in a process of its own.
func TestInProcessOfItsOwn(t *testing.T) {
	for _, name := range []string{"TestDescriptorsRunOut", "TestDescriptorsAreBounded"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run", "^"+name+"$", "-test.v")
			cmd.Env = append(os.Environ(), aloneEnv+"=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

const aloneEnv = "LEDGER_TEST_ALONE"

func alone(t *testing.T) {
	t.Helper()
	if os.Getenv(aloneEnv) == "" {
		t.Skip("run by TestInProcessOfItsOwn")
	}
}

// TestDescriptorsRunOut: a process that cannot open a file any more goes on, and
// what it knows is read; with descriptors again the log catches up.
func TestDescriptorsRunOut(t *testing.T) {
	alone(t)
	r := &rows{}
	l := start(t, t.TempDir(), r, nil)
	l.newEpoch(newSigner(t))
	l.await(0)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	last := r.commit(someLeaves("x", 300)...)
	for l.Condition().Err == "" {
		time.Sleep(time.Millisecond)
	}
	if c := l.Condition(); c.Err != "too many open files" || c.Behind != 300 || c.Size != 1 {
		t.Errorf("%+v", c)
	}
	if _, err := l.Read(t.Context(), "checkpoint"); err != nil {
		t.Error(err)
	}
	if _, err := l.Read(t.Context(), "tile/0/000.p/1"); err == nil {
		t.Error("read without a descriptor")
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	check(t, l.dir, r, l.await(last))
}

// TestDescriptorsAreBounded counts the open files of a process whose clients
// read as much as they can.
func TestDescriptorsAreBounded(t *testing.T) {
	alone(t)
	dir, r := t.TempDir(), &rows{}
	before := openFiles(t) // with those that the runtime itself opens
	l := start(t, dir, r, func(c *ledger.Config) { c.Interval = time.Millisecond })
	l.newEpoch(newSigner(t))
	l.await(r.commit(someLeaves("x", 300)...))
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	var read atomic.Int64
	for range 100 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, err := l.Read(t.Context(), "tile/entries/000"); err != nil {
					t.Error(err)
				}
				read.Add(1)
			}
		})
	}
	most := 0
	for i := 0; i < 300 || read.Load() < 1000; i++ {
		r.commit(fmt.Append(nil, "row ", i))
		most = max(most, openFiles(t)-before)
	}
	stop()
	readers.Wait()
	t.Logf("at most %d of %d descriptors, %d reads", most, ledger.Descriptors, read.Load())
	if most > ledger.Descriptors {
		t.Errorf("%d descriptors, want at most %d", most, ledger.Descriptors)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(names)
}
