//go:build !(memscan && linux)

package keyholder

import (
	"crypto/rand"
	"os"
	"strconv"
	"time"

	"github.com/terradourada/td/internal/secret"
)

// What a build for the memory scan (see memscan_test.go) does otherwise, so
// that the scan knows what to look for, and in which memory. It differs from a
// release in this file alone.

// hedging runs what makes one hedged signature of a message, with fresh
// randomness of the system.
func hedging(message []byte, sign func() error) error {
	_ = message
	return sign()
}

// stage is where a child can be stopped on its way to its first request, and
// before its end.
func stage(name string) { _ = name }

// bestMemory is the best level of memory to ask for.
func bestMemory() secret.Level { return secret.SecretMem }

// draw fills b with random bytes; which says what for.
func draw(b []byte, which string) {
	_ = which
	_, _ = rand.Read(b) // never fails
}

// childArgs are the arguments of a child, knownArgs those behind its user.
func childArgs(kind string, uid int) []string { return []string{childPrefix + kind, strconv.Itoa(uid)} }

const knownArgs = 0

// tap returns the core's end of a child's socket.
func tap(sock *os.File, kind string) *os.File {
	_ = kind
	return sock
}

// answerTimeout is the default of [Config.AnswerTimeout].
const answerTimeout = 10 * time.Second
