package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// openProver proves open/1, the cheapest claim.
var openProver = sync.OnceValues(func() (*claim.Prover, error) { return claim.NewProver(claim.Open) })

// answer is a challenge with a right proof for it.
type answer struct {
	draft *client.Draft
	ch    *api.Challenge
	proof []byte
}

// submission is an open/1 over an event that no other call returns.
func submission() client.Submission {
	return client.Submission{Claim: claim.Open, Params: []byte(`{}`), Event: fmt.Appendf(nil, `{"sealed":"%016x"}`, rand.Uint64())}
}

// challenge asks for a challenge without proving it.
func (b *backend) challenge(ctx context.Context, s client.Submission) (*answer, error) {
	draft, err := client.NewDraft(&s, protocol.Element{})
	if err != nil {
		return nil, err
	}
	ch, err := b.Challenge(ctx, draft.Request())
	return &answer{draft: draft, ch: ch}, err
}

// mustAnswer prepares one right answer for open/1.
func (b *backend) mustAnswer(ctx context.Context) *answer {
	b.t.Helper()
	return b.prove(ctx, submission())
}

func (b *backend) prove(ctx context.Context, s client.Submission) *answer {
	b.t.Helper()
	a, err := b.challenge(ctx, s)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.complete(ctx, a)
}

// complete proves what a challenge asks for.
func (b *backend) complete(ctx context.Context, a *answer) *answer {
	b.t.Helper()
	p, err := openProver()
	if err != nil {
		b.t.Fatal(err)
	}
	if a.proof, err = a.draft.Prove(ctx, p, a.ch, protocol.LocalClient); err != nil {
		b.t.Fatal(err)
	}
	return a
}

// answers prepares n right answers.
func (b *backend) answers(ctx context.Context, n int) []*answer {
	b.t.Helper()
	all := make([]*answer, n)
	for i := range all {
		all[i] = b.mustAnswer(ctx)
	}
	return all
}

// send hands an answer in.
func (b *backend) send(ctx context.Context, a *answer, wait time.Duration) (*client.Accepted, error) {
	return b.Send(ctx, a.ch.RequestID, a.ch.Tag, a.proof, wait)
}

// wantCode hands an answer in and wants a refusal.
func (b *backend) wantCode(ctx context.Context, a *answer, want protocol.Code) {
	b.t.Helper()
	if _, err := b.send(ctx, a, 0); protocol.CodeOf(err) != want {
		b.t.Errorf("got %v, want %s", err, want)
	}
}

// wantAccepted hands an answer in and wants it accepted, with its receipt.
func (b *backend) wantAccepted(ctx context.Context, a *answer) *client.Accepted {
	b.t.Helper()
	acc, err := b.send(ctx, a, 20*time.Second)
	if err != nil || acc.Receipt == nil {
		b.t.Fatalf("not accepted with a receipt: %v %v", acc, err)
	}
	return acc
}

// push has an event proved by the server.
func (b *backend) push(ctx context.Context, wait time.Duration) (*client.Pushed, error) {
	s := submission()
	e, err := s.Prepare()
	if err != nil {
		return nil, err
	}
	return b.Push(ctx, e, 0, wait)
}

// row is one row of the journal as the test reads it.
type row struct {
	raw  []byte
	leaf protocol.Leaf
}

// rowsOf reads the journal in a data directory from outside, and checks what
// holds for every journal: gapless, times that never go back, at most one row
// for each request id, anchor and commitment, no acceptance outside the life of
// its epoch.
func rowsOf(t *testing.T, data string) []row {
	t.Helper()
	v := viewOf(t, data)
	defer func() { _ = v.Close() }() // a start after a kill replaces files
	var rows []row
	for {
		entries, err := v.Leaves(t.Context(), uint64(len(rows)), 4096)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			leaf, err := protocol.ParseLeaf(e.Leaf)
			if err != nil {
				t.Fatalf("row %d: %v", e.Seq, err)
			}
			if e.Seq != uint64(len(rows)) || leaf.Seq != e.Seq {
				t.Fatalf("row %d holds leaf %d at place %d", e.Seq, leaf.Seq, len(rows))
			}
			rows = append(rows, row{e.Leaf, leaf})
		}
	}
	checkRows(t, rows)
	return rows
}

func viewOf(t *testing.T, data string) *journal.View {
	t.Helper()
	v, err := journal.OpenView(t.Context(), filepath.Join(data, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func checkRows(t *testing.T, rows []row) {
	t.Helper()
	seen := map[[32]byte]string{} // of request ids, anchors and commitments
	live := map[protocol.EpochID]bool{}
	for i, r := range rows {
		if i > 0 && r.leaf.Time < rows[i-1].leaf.Time {
			t.Errorf("the time of row %d is before that of the row before", i)
		}
		switch body := r.leaf.Body.(type) {
		case *protocol.EpochOpen:
			live[body.ID] = true
		case *protocol.EpochClose:
			live[body.ID] = false
			orderly := body.Reason == protocol.CloseShutdown || body.Reason == protocol.CloseRotated
			if sum := body.Accepted + body.Rejected + body.Expired + body.Invalidated; orderly && sum != body.Issued.Size {
				t.Errorf("row %d: an epoch issued %d, of which %d ended", i, body.Issued.Size, sum)
			}
		case *protocol.Accepted:
			p := payloadOf(t, body)
			if !live[p.EpochID] {
				t.Errorf("row %d is an acceptance outside the life of its epoch", i)
			}
			for what, key := range map[string][]byte{"request id": p.RequestID[:], "anchor": body.Anchor[:], "commitment": p.Commitment[:]} {
				k := sha256.Sum256(append([]byte(what), key...))
				if seen[k] != "" {
					t.Errorf("row %d repeats the %s of row %s", i, what, seen[k])
				}
				seen[k] = strconv.Itoa(i)
			}
		}
	}
}

func payloadOf(t *testing.T, a *protocol.Accepted) protocol.Payload {
	t.Helper()
	p, err := protocol.ParsePayload(a.Payload[:])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// acceptedIn are the indices of the accepted requests.
func acceptedIn(t *testing.T, rows []row) map[protocol.RequestID]uint64 {
	t.Helper()
	found := map[protocol.RequestID]uint64{}
	for _, r := range rows {
		if body, ok := r.leaf.Body.(*protocol.Accepted); ok {
			found[payloadOf(t, body).RequestID] = r.leaf.Seq
		}
	}
	return found
}

// closeOf is the close leaf of the epoch with a number, nil if there is none.
func closeOf(rows []row, number uint64) *protocol.EpochClose {
	for _, r := range rows {
		if body, ok := r.leaf.Body.(*protocol.EpochClose); ok && body.Number == number {
			return body
		}
	}
	return nil
}

// lastEpoch is the number of the last epoch that was opened.
func lastEpoch(rows []row) (number uint64) {
	for _, r := range rows {
		if body, ok := r.leaf.Body.(*protocol.EpochOpen); ok {
			number = body.Number
		}
	}
	return number
}

// wantSameLog compares what is published in the ledger's files with the rows:
// every leaf, byte for byte, and the root, computed here. It wants all rows to
// be published.
func wantSameLog(t *testing.T, data string, rows []row) {
	t.Helper()
	size, root := publishedIn(t, data)
	if size != uint64(len(rows)) {
		t.Fatalf("%d leaves are published, the journal has %d rows", size, len(rows))
	}
	hashes := make([][32]byte, len(rows))
	for i, leaf := range bundlesIn(t, data, size) {
		if string(leaf) != string(rows[i].raw) {
			t.Errorf("leaf %d of the log is not row %d of the journal", i, i)
		}
		hashes[i] = sha256.Sum256(append([]byte{0}, leaf...))
	}
	if treeRoot(hashes) != root {
		t.Error("the published root is not that of the leaves")
	}
}

// publishedIn reads size and root of the checkpoint file.
func publishedIn(t *testing.T, data string) (size uint64, root [32]byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, "ledger", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitN(string(b), "\n", 4)
	size, err = strconv.ParseUint(lines[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(hash) != len(root) {
		t.Fatalf("the root in the checkpoint: %v", err)
	}
	return size, [32]byte(hash)
}

// bundlesIn reads the leaves of C2SP entry bundles: u16 length and bytes each.
func bundlesIn(t *testing.T, data string, size uint64) (leaves [][]byte) {
	t.Helper()
	const width = 256
	for n := uint64(0); n*width < size; n++ {
		name := filepath.Join(data, "ledger", "tile", "entries", fmt.Sprintf("%03d", n))
		b, err := os.ReadFile(name)
		if part := size - n*width; err != nil && part < width {
			b, err = os.ReadFile(fmt.Sprintf("%s.p/%d", name, part))
		}
		if err != nil {
			t.Fatal(err)
		}
		for len(b) > 0 && uint64(len(leaves)) < size {
			end := 2 + int(binary.BigEndian.Uint16(b))
			leaves = append(leaves, b[2:end])
			b = b[end:]
		}
	}
	return leaves
}

// treeRoot is the RFC 6962 root over leaf hashes.
func treeRoot(hashes [][32]byte) [32]byte {
	if len(hashes) == 1 {
		return hashes[0]
	}
	split := 1
	for 2*split < len(hashes) {
		split *= 2
	}
	left, right := treeRoot(hashes[:split]), treeRoot(hashes[split:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// awaitPublished waits until the checkpoint covers every row.
func awaitPublished(t *testing.T, data string) []row {
	t.Helper()
	v := viewOf(t, data)
	defer func() { _ = v.Close() }() // a start after a kill replaces files
	eventually(t, 10*time.Second, "the log does not catch up with the journal", func() bool {
		rows, err := v.Size(t.Context())
		size, _ := publishedIn(t, data)
		return err == nil && size == rows
	})
	return rowsOf(t, data)
}

// wantValid verifies a receipt offline, with what a user has recorded.
func wantValid(t *testing.T, r *receipt.Receipt, o receipt.Options) {
	t.Helper()
	if report := receipt.Verify(t.Context(), r, o); !report.OK {
		t.Errorf("a receipt does not verify: %+v", report)
	}
}
