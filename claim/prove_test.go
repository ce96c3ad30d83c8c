package claim_test

import (
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

func TestTmpProve(t *testing.T) {
	p, err := claim.NewProver()
	if err != nil {
		t.Fatal(err)
	}
	n := protocol.SmallElement
	h := claim.Compress(n(7), n(8))
	cm := claim.Compress(h, protocol.ClaimElement("open/1"))
	x := []protocol.Element{n(1), n(2), n(3), cm}
	proof, err := p.ProveRaw(claim.Open, x, []protocol.Element{n(7), n(8)})
	if err != nil {
		t.Fatal(err)
	}
	vk, _ := claim.KnownKey(claim.Open)
	if err := claim.Verify(vk, x, proof); err != nil {
		t.Fatal(err)
	}
	x[0] = n(9)
	if err := claim.Verify(vk, x, proof); err == nil {
		t.Fatal("bad")
	}
}

func BenchmarkNewProver(b *testing.B) {
	for b.Loop() {
		claim.NewProver()
	}
}

func BenchmarkCheckSRS(b *testing.B) {
	for b.Loop() {
		if err := claim.CheckSRS(); err != nil {
			b.Fatal(err)
		}
	}
}
