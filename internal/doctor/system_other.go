//go:build !linux

package doctor

import (
	"math"

	"github.com/terradourada/td/internal/sandbox"
)

func fileSystem(string) (free uint64, kind string, volatile bool) {
	return math.MaxInt64, "a file system", false
}

func (d *doctor) entropy() {
	d.ok(sectionServer, "entropy", "the system's random source")
}

func (d *doctor) limits() {
	d.bad(sandbox.StateUnknown, sectionMachine, "core_limit", "not on this system", "")
}
