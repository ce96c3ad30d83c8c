package gate

import (
	"strings"
	"testing"

	"github.com/terradourada/td/internal/ledger"
)

// TestFitting: a receipt keeps the cosignatures of its checkpoint as long as it has room
// for them in each pair.
func TestFitting(t *testing.T) {
	const plain = "a\n1\nr\n\n— a x\n"
	line := "— cosigner " + strings.Repeat("A", 3<<10) + "\n"
	for lines, most := range map[int]int{0: 1 << 14, 1: 169, 6: 28, 16: 10} {
		cp := ledger.Checkpoint{Note: []byte(plain + strings.Repeat(line, lines))}
		for pairs, kept := range map[int]bool{5: true, most: true, most + 1: lines == 0} {
			got := string(fitting(cp, pairs).Note)
			if kept && got != string(cp.Note) || !kept && got != plain {
				t.Errorf("%d lines in %d pairs: %d bytes", lines, pairs, len(got))
			}
		}
	}
}
