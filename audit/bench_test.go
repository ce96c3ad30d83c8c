package audit_test

import (
	"testing"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
)

// BenchmarkRun measures the audit of a log of 20,000 small entries in a directory.
func BenchmarkRun(b *testing.B) {
	log := logtest.New()
	for log.Size() < 20_000 {
		log.Add(&protocol.Incident{})
	}
	dir := b.TempDir()
	log.Write(dir, log.Epochs[0])
	for b.Loop() {
		if r, err := audit.Run(b.Context(), client.NewLogDir(dir), audit.Options{AllowSelfAsserted: true}); err != nil || !r.OK {
			b.Fatalf("%+v, %v", r, err)
		}
	}
}
