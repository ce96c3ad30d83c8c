//go:build memscan && linux

package keyholder

import (
	"crypto/sha256"
	"io"
	"os"
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

// hedged is false so that the signatures of a key are known.
const hedged = false

// childArgs hands seed and level on: a child has no environment.
func childArgs(kind string) []string {
	return []string{childPrefix + kind, os.Getenv(memscanSeedVariable), os.Getenv(memscanLevelVariable)}
}

const knownArgs = 2

// bestMemory is the level that the last argument of the process names.
func bestMemory() secret.Level {
	switch os.Args[len(os.Args)-1] {
	case secret.Plain.String():
		return secret.Plain
	case secret.Locked.String():
		return secret.Locked
	default:
		return secret.SecretMem
	}
}

// draw derives b from the argument before the last, so that whoever gave it
// knows every key.
func draw(b []byte, which string) {
	seed := ""
	if len(os.Args) == 2+knownArgs {
		seed = os.Args[2]
	}
	memscanSeed(b, seed, which)
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
