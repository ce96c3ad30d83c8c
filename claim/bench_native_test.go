package claim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
)

func BenchmarkDecodeProof(b *testing.B) {
	proof := encodeByGnark(b, formalProof())
	for b.Loop() {
		if _, err := claim.DecodeProof(proof); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit commits to a small event, and to one at the limits of section
// 4 with all pointers at its end.
func BenchmarkCommit(b *testing.B) {
	var members []string
	for i := range 1024 {
		members = append(members, fmt.Sprintf(`"m%04d%s":%d`, i, strings.Repeat("x", 50), i))
	}
	var at []string
	for i := range 14 {
		at = append(at, fmt.Sprintf(`"/m%04d%s"`, 1023-i, strings.Repeat("x", 50)))
	}
	for name, test := range map[string]struct{ params, event string }{
		"small":    {goodParams[claim.Sum], `{"feb":1,"jan":400}`},
		"greatest": {`{"at":[` + strings.Join(at, ",") + `],"hi":99999,"lo":0,"scale":0}`, "{" + strings.Join(members, ",") + "}"},
	} {
		b.Run(name, func(b *testing.B) {
			p, event, blind := mustParams(b, claim.Sum, test.params), jcs(b, test.event), claim.NewBlind()
			for b.Loop() {
				if _, _, err := claim.Commit(p, event, blind); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
