package datadir_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// TestSynthetic makes a data directory of TD_ROWS acceptances in TD_SYNTHETIC, for the
// measurement of a start: all have the same proof, and no issued root is signed, which
// no start verifies. An audit refuses such a log.
func TestSynthetic(t *testing.T) {
	dir := os.Getenv("TD_SYNTHETIC")
	rows, err := strconv.Atoi(os.Getenv("TD_ROWS"))
	if dir == "" || err != nil {
		t.Skip("TD_SYNTHETIC names no directory, or TD_ROWS no number")
	}
	s := openConfig(dir, journal.Config{CheckLater: 1})
	s.begin()
	var wg sync.WaitGroup
	for worker := range 256 {
		wg.Go(func() {
			for i := worker; i < rows; i += 256 {
				s.acceptUnsigned(uint64(i))
			}
		})
	}
	wg.Wait()
	for s.log.Size() < uint64(rows)+2 {
		entries, err := s.Leaves(t.Context(), s.log.Size(), 4096)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			s.log.AddRaw(e.Leaf)
		}
	}
	s.publish(false)
	s.stop()
	if datadir.HasLog(dir) {
		t.Logf("%d rows in %s", s.log.Size(), filepath.Join(dir, datadir.JournalFile))
	}
}

// acceptUnsigned adds an acceptance that no verifier would take.
func (s *scene) acceptUnsigned(i uint64) {
	element := func(kind byte) (e [32]byte) {
		e = sha256.Sum256(binary.BigEndian.AppendUint64([]byte{kind}, i))
		e[0] = 0
		return e
	}
	id := element(0)
	p := protocol.Payload{
		Mode: protocol.ModePull, RequestID: protocol.RequestID(id[1:17]), EpochID: s.epoch.Open.ID, EpochNumber: s.epoch.Open.Number, Seq: i + 1,
		TTL: protocol.DefaultTTL, Commitment: element(1), VK: s.log.VK, Instance: s.epoch.Open.Instance,
	}
	a := protocol.Accepted{
		Payload: p.Encode(), Anchor: element(2), TagHash: element(3), Params: []byte("{}"), Proof: make([]byte, protocol.ProofSize),
		Issued: protocol.Issued{Position: i, SignedRoot: protocol.SignedRoot{Size: i + 1, Root: element(4), Signature: [64]byte{1}}, Path: make([]protocol.Digest, 20)},
	}
	_, err := s.Accept(context.Background(), now, &journal.Acceptance{Leaf: a, Claim: claim.Open.String(), ProofDigest: sha256.Sum256(a.Proof)})
	check(err)
}
