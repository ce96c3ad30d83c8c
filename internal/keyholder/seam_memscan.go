//go:build memscan

package keyholder

import (
	"crypto/sha256"
	"os"

	"github.com/terradourada/td/internal/secret"
)

// hedged is false so that the signatures of a key are known.
const hedged = false

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
	if len(os.Args) > 2 {
		seed = os.Args[len(os.Args)-2]
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
