//go:build memscan && linux

package keyholder

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/secret"
)

// Variables of a core in a build for the scan: what the keys of its children
// are derived from, the level of memory that they ask for, and a directory in
// which it records all that it hears and says on their sockets, if there is one.
const (
	memscanSeedVariable    = "MEMSCAN_SEED"
	memscanLevelVariable   = "MEMSCAN_LEVEL"
	memscanCaptureVariable = "MEMSCAN_CAPTURE"
)

// answerTimeout lets a scan stop a child for as long as it takes.
const answerTimeout = 2 * time.Minute

// childArgs hands seed and level on: a child has no environment. It is to stop
// nowhere.
func childArgs(kind string, uid int) []string {
	return []string{childPrefix + kind, strconv.Itoa(uid), os.Getenv(memscanSeedVariable), os.Getenv(memscanLevelVariable), "nowhere"}
}

// Behind its user a child is given the seed, the level and the stage at which it
// stops.
const (
	knownArgs = 3
	seedArg   = 3
	levelArg  = 4
	stageArg  = 5
)

// argument is one of those, empty in other processes.
func argument(n int) string {
	if len(os.Args) != 3+knownArgs {
		return ""
	}
	return os.Args[n]
}

// stage stops the process if it is the stage to stop at. The sandbox lets it
// send signals to itself.
func stage(name string) {
	if name == argument(stageArg) {
		_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP)
	}
}

// bestMemory is the level that was asked for.
func bestMemory() secret.Level {
	switch argument(levelArg) {
	case secret.Plain.String():
		return secret.Plain
	case secret.Locked.String():
		return secret.Locked
	default:
		return secret.SecretMem
	}
}

// draw derives b from the seed, so that the test knows every key.
func draw(b []byte, which string) { memscanSeed(b, argument(seedArg), which) }

// hedges is the number of values that the randomness of signatures has in such
// a build, so that a scan can look for all of them.
const hedges = 16

// hedge names the randomness of the signature of a message.
func hedge(message []byte) string {
	return fmt.Sprintf("hedge %d", sha256.Sum256(message)[0]%hedges)
}

// hedging has the next random bytes of the process, which are those of the
// signature, derived from the seed. crypto/rand leaves such bytes on the heap,
// which it does not with those of the system: they are cleared.
func hedging(message []byte, sign func() error) error {
	return hedgingOf(argument(seedArg), message, sign)
}

func hedgingOf(seed string, message []byte, sign func() error) error {
	d := &derivedReader{seed: seed, which: hedge(message)}
	hedged.Lock() // until they are read
	d.system, rand.Reader = rand.Reader, d
	err := sign()
	clear(d.lent)
	return err
}

var hedged sync.Mutex

// derivedReader is random for one read.
type derivedReader struct {
	seed, which string
	system      io.Reader
	lent        []byte
}

func (d *derivedReader) Read(b []byte) (int, error) {
	memscanSeed(b, d.seed, d.which)
	d.lent = b
	rand.Reader = d.system
	hedged.Unlock()
	return len(b), nil
}

// memscanSeed has a name that no release binary may contain.
//
//go:noinline
func memscanSeed(b []byte, seed, which string) {
	sum := sha256.Sum256([]byte(seed + "/" + which))
	copy(b, sum[:])
}

// tap puts a recorder between the core and the socket of a child.
func tap(sock *os.File, kind string) *os.File {
	dir := os.Getenv(memscanCaptureVariable)
	if dir == "" {
		return sock
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		panic(err)
	}
	core, inner := os.NewFile(uintptr(fds[0]), "core"), os.NewFile(uintptr(fds[1]), "tap")
	relay := func(to io.WriteCloser, from io.Reader, direction string) {
		defer to.Close()
		record, err := os.CreateTemp(dir, kind+"-*."+direction)
		if err != nil {
			panic(err)
		}
		defer record.Close()
		_, _ = io.Copy(to, io.TeeReader(from, record)) // until one of them ends
	}
	go relay(sock, inner, "said")
	go relay(inner, sock, "heard")
	return core
}
