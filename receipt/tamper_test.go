package receipt_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// flip changes one bit of a leaf.
func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at] ^= 1
		return b
	}
}

func tail(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[len(b)-n] ^= 1
		return b
	}
}

// Offsets inside a leaf.
const (
	header  = protocol.LeafHeaderSize
	payload = header
	anchor  = payload + protocol.PayloadSize
	tagHash = anchor + 32
	issued  = tagHash + 32
	params  = issued + 8 + 8 + 32 + 64 + 1 + 32 // the path of s.ranges has one hash
)

// Every part of every leaf is protected, and the step that covers it is the
// first to fail.
func TestTamperedLeaves(t *testing.T) {
	s := sharedScene()
	original := s.receipt(s.ranges, s.second, s.revoke)
	o := pinned(t, original)
	parts := map[string]func(*receipt.Receipt) *receipt.Pair{
		"leaf":   func(r *receipt.Receipt) *receipt.Pair { return &r.Pair },
		"claim":  func(r *receipt.Receipt) *receipt.Pair { return &r.Claim },
		"epoch":  func(r *receipt.Receipt) *receipt.Pair { return &r.Epoch },
		"signer": func(r *receipt.Receipt) *receipt.Pair { return &r.Signer },
		"last":   func(r *receipt.Receipt) *receipt.Pair { return &r.Last },
		"flag":   func(r *receipt.Receipt) *receipt.Pair { return &r.Flags[0] },
	}
	for _, tt := range []struct {
		part, what string
		change     func([]byte) []byte
		step       string
	}{
		{"leaf", "constant", flip(0), "leaf"},
		{"leaf", "type", flip(9), "leaf"},
		{"leaf", "seq", flip(17), "leaf"},
		{"leaf", "time", flip(25), "inclusion"},
		{"leaf", "payload constant", flip(payload), "leaf"},
		{"leaf", "payload version", flip(payload + 9), "leaf"},
		{"leaf", "payload suite", flip(payload + 11), "leaf"},
		{"leaf", "payload mode", flip(payload + 12), "leaf"}, // 1 -> 0
		{"leaf", "payload reserved", flip(payload + 13), "leaf"},
		{"leaf", "request id", flip(payload + 16), "proof"},
		{"leaf", "nonce", flip(payload + 32), "proof"},
		{"leaf", "epoch id", flip(payload + 64), "proof"},
		{"leaf", "epoch number", flip(payload + 87), "proof"},
		{"leaf", "payload seq", flip(payload + 88), "proof"},
		{"leaf", "issued-at", flip(payload + 103), "proof"},
		{"leaf", "ttl", flip(payload + 107), "proof"},
		{"leaf", "policy", flip(payload + 111), "proof"},
		{"leaf", "cm", flip(payload + 143), "statement"},
		{"leaf", "client commitment", flip(payload + 144), "proof"},
		{"leaf", "vkfp", flip(payload + 176), "statement"},
		{"leaf", "statement digest", flip(payload + 208), "statement"},
		{"leaf", "instance", flip(payload + 240), "proof"},
		{"leaf", "anchor", flip(anchor + 31), "proof"},
		{"leaf", "t", flip(tagHash + 31), "proof"},
		{"leaf", "count", flip(header - 1), "leaf"},
		{"leaf", "position", flip(issued + 7), "inclusion"},
		{"leaf", "position out of the tree", flip(issued), "leaf"},
		{"leaf", "issued size", flip(issued + 14), "inclusion"},
		{"leaf", "issued root", flip(issued + 16), "inclusion"},
		{"leaf", "issued signature", flip(issued + 48), "inclusion"},
		{"leaf", "issued path length", flip(issued + 112), "leaf"},
		{"leaf", "issued path", flip(issued + 113), "inclusion"},
		{"leaf", "params length", flip(params + 1), "leaf"},
		{"leaf", "params", flip(params + 2), "statement"},
		{"leaf", "proof length", tail(protocol.ProofSize + 1), "leaf"},
		{"leaf", "proof", tail(1), "proof"},
		{"leaf", "trailing byte", func(b []byte) []byte { return append(b, 0) }, "leaf"},
		{"leaf", "last byte gone", func(b []byte) []byte { return b[:len(b)-1] }, "leaf"},
		{"claim", "seq", flip(17), "leaf"},
		{"claim", "time", flip(25), "inclusion"},
		{"claim", "claim id length", flip(header), "leaf"},
		{"claim", "claim id", flip(header + 1), "statement"},
		{"claim", "list id", flip(header + 1 + 7), "statement"},
		{"claim", "SRS digest", flip(header + 1 + 7 + 32), "statement"},
		{"claim", "key", tail(1), "statement"},
		{"epoch", "seq", flip(17), "leaf"},
		{"epoch", "number", flip(header + 7), "inclusion"},
		{"epoch", "id", flip(header + 8), "inclusion"},
		{"epoch", "instance", flip(header + 24), "inclusion"},
		{"epoch", "suite", flip(header + 41), "leaf"},
		{"epoch", "public key", flip(header + 42), "inclusion"},
		{"epoch", "build", flip(header + 42 + 1952), "inclusion"},
		{"epoch", "grades", flip(header + 42 + 1952 + 32), "inclusion"},
		{"epoch", "checkpoint key", flip(header + 42 + 1952 + 32 + 2 + 32), "inclusion"},
		{"signer", "number", flip(header + 7), "inclusion"},
		{"signer", "checkpoint key", flip(header + 42 + 1952 + 32 + 2 + 32), "inclusion"},
		{"signer", "previous", flip(header + 42 + 1952 + 32 + 2 + 64), "inclusion"},
		{"signer", "hand-over", tail(1), "inclusion"},
		{"flag", "action", flip(header), "leaf"},
		{"flag", "actor", flip(header + 1), "inclusion"},
		{"flag", "reason code", flip(header + 34), "inclusion"},
		{"flag", "reason text", flip(header + 35), "inclusion"},
		{"flag", "previous state", flip(header + 67), "inclusion"},
		{"flag", "target", flip(header + 68), "inclusion"},
		{"flag", "count", flip(header - 1), "inclusion"},
		{"last", "seq", flip(17), "leaf"},
		{"last", "count", flip(header - 1), "inclusion"}, // 2 -> 3
		{"last", "count, less", func(b []byte) []byte { b[header-1] = 0; return b }, "leaf"},
		{"last", "body", tail(1), "inclusion"},
	} {
		t.Run(tt.part+"/"+tt.what, func(t *testing.T) {
			r := clone(original)
			p := parts[tt.part](r)
			p.Leaf = tt.change(p.Leaf)
			wantFailed(t, verify(t, r, o), tt.step, "")
		})
	}
}

// Whatever single bit of the file is changed, the receipt is refused: no bit
// can be chosen freely.
func TestEveryBit(t *testing.T) {
	s := sharedScene()
	good := encode(t, s.receipt(s.ranges, s.second, s.revoke))
	step := 1
	if testing.Short() {
		step = 7
	}
	for i := 0; i < len(good); i += step {
		b := append([]byte(nil), good...)
		b[i] ^= 1 << (i % 8)
		r, err := receipt.Parse(b)
		if err != nil {
			continue
		}
		if _, err := r.Checkpoint(); err == nil {
			t.Fatalf("bit %d of byte %d is free: %q", i%8, i, b[max(0, i-20):i+1])
		}
	}
}

func TestTamperedLogTexts(t *testing.T) {
	s := sharedScene()
	original := s.receipt(s.open, s.second)
	o := pinned(t, original)
	lines := strings.Split(original.Log, "\n")
	size, root := fmt.Sprint(s.size()), base64.StdEncoding.EncodeToString(hashBytes(s.root(s.size())))
	replace := func(old, with string) func(string) string {
		return func(log string) string {
			if !strings.Contains(log, old) {
				t.Fatalf("log text has no %q", old)
			}
			return strings.Replace(log, old, with, 1)
		}
	}
	for name, tt := range map[string]struct {
		change func(string) string
		step   string // the step if the accepted leaf's log text alone is changed
		all    string // the step if all are changed, "" if that cannot be
	}{
		"not a tlog-proof":     {replace("@v1", "@v2"), "leaf", "leaf"},
		"no header":            {replace("c2sp.org/tlog-proof@v1\n", ""), "leaf", "leaf"},
		"index without a word": {replace("index ", ""), "leaf", "leaf"},
		"hash with more":       {replace(lines[2], lines[2]+"A"), "leaf", ""},
		"hash with CR":         {replace(lines[2], lines[2]+"\r"), "leaf", ""},
		"extra line":           {replace("index", "extra AAAA\nindex"), "leaf", "leaf"},
		"no index":             {replace("index ", "number "), "leaf", "leaf"},
		"index 04":             {replace("index ", "index 0"), "leaf", "leaf"},
		"index +4":             {replace("index ", "index +"), "leaf", "leaf"},
		"negative index":       {replace("index ", "index -"), "leaf", "leaf"},
		"huge index":           {replace("index ", "index 99999999999999999999"), "leaf", "leaf"},
		"another index":        {replace("index 4\n", "index 5\n"), "leaf", ""},
		"hash with low bits":   {replace(lines[2], lowBits(lines[2])), "leaf", ""},
		"hash missing":         {replace(lines[2]+"\n", ""), "inclusion", ""},
		"hash twice":           {replace(lines[2]+"\n", lines[2]+"\n"+lines[2]+"\n"), "inclusion", ""},
		"hashes exchanged":     {replace(lines[2]+"\n"+lines[3], lines[3]+"\n"+lines[2]), "inclusion", ""},
		"short hash":           {replace(lines[2], "AAAA"), "leaf", ""},
		"too many hashes":      {replace(lines[2]+"\n", strings.Repeat(lines[2]+"\n", 64)), "leaf", ""},
		"line end CRLF":        {replace("@v1\n", "@v1\r\n"), "leaf", "leaf"},
		"no checkpoint":        {func(s string) string { return s[:checkpointAt(s)-1] }, "leaf", "leaf"},
		"empty checkpoint":     {func(s string) string { return s[:checkpointAt(s)] }, "leaf", "leaf"},
		"another origin":       {replace("\n"+testOrigin+"\n", "\nterradourada/ffffffffffffffff\n"), "leaf", "issued"},
		"origin with escape":   {replace("\n"+testOrigin+"\n", "\n\u009b31m\n"), "leaf", "leaf"},
		"origin with plus":     {replace("\n"+testOrigin+"\n", "\na+b\n"), "leaf", "leaf"},
		"another size":         {replace("\n"+size+"\n", "\n"+size+"0\n"), "leaf", "inclusion"},
		"size 0":               {replace("\n"+size+"\n", "\n0\n"), "leaf", "inclusion"},
		"size with zero":       {replace("\n"+size+"\n", "\n0"+size+"\n"), "leaf", "leaf"},
		"another root":         {replace(root, strings.Repeat("A", 43)+"="), "leaf", "inclusion"},
		"root with low bits":   {replace(root, lowBits(root)), "leaf", "leaf"},
		"extension line":       {replace(root+"\n", root+"\nmore\n"), "leaf", "leaf"},
		"signature of another": {replace("— "+testOrigin, "— stranger"), "leaf", "checkpoint"},
		"signature changed":    {func(s string) string { return s[:len(s)-10] + swap(s[len(s)-10]) + s[len(s)-9:] }, "leaf", "checkpoint"},
		"signature low bits":   {func(s string) string { return lowBits(s[:len(s)-1]) + "\n" }, "leaf", "leaf"},
		"signature cut":        {func(s string) string { return s[:len(s)-1] }, "leaf", "leaf"},
		"no signature":         {func(s string) string { return s[:signatures(s)] }, "leaf", "leaf"},
		"a signature twice":    {func(s string) string { return s + s[signatures(s):] }, "leaf", "leaf"},
		"two of one key": {func(s string) string {
			line := s[signatures(s):]
			return s + line[:len(line)-10] + swap(line[len(line)-10]) + line[len(line)-9:]
		}, "leaf", "leaf"},
		"many signatures":     {func(s string) string { return s + strings.Repeat(s[signatures(s):], 32) }, "leaf", "leaf"},
		"trailing text":       {func(s string) string { return s + "x" }, "leaf", "leaf"},
		"trailing empty line": {func(s string) string { return s + "\n" }, "leaf", "leaf"},
		"not UTF-8":           {func(s string) string { return s[:len(s)-1] + "\xff\n" }, "leaf", "leaf"},
	} {
		t.Run(name, func(t *testing.T) {
			r := clone(original)
			r.Log = tt.change(r.Log)
			wantFailed(t, verify(t, r, o), tt.step, "")
			if tt.all == "" {
				return
			}
			r = clone(original)
			for _, p := range []*receipt.Pair{&r.Pair, &r.Claim, &r.Epoch, &r.Signer, &r.Last} {
				p.Log = tt.change(p.Log)
			}
			wantFailed(t, verify(t, r, o), tt.all, "")
		})
	}
}

// A number of a log text has one spelling, also where another one has the right value. What
// cannot be read does not stand for leaf 0.
func TestTamperedNumbers(t *testing.T) {
	s := sharedScene()
	original := s.receipt(s.open, s.second)
	for name, change := range map[string]func(*receipt.Receipt){
		"a leaf 0 that is cut": func(r *receipt.Receipt) { r.Claim.Leaf = r.Claim.Leaf[:9] },
		"index 00 of leaf 0":   func(r *receipt.Receipt) { r.Claim.Log = strings.Replace(r.Claim.Log, "index 0\n", "index 00\n", 1) },
		"index -1 of the leaf with that number": func(r *receipt.Receipt) {
			copy(r.Last.Leaf[10:18], "\xff\xff\xff\xff\xff\xff\xff\xff")
			at := strings.Index(r.Last.Log, "index ")
			_, rest, _ := strings.Cut(r.Last.Log[at:], "\n")
			r.Last.Log = r.Last.Log[:at] + "index -1\n" + rest
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := clone(original)
			change(r)
			wantFailed(t, verify(t, r, pinned(t, original)), "leaf", "")
		})
	}
}

// Checkpoints of one log that differ, in one of the log texts.
func TestOneCheckpoint(t *testing.T) {
	s := sharedScene()
	original := s.receipt(s.ranges, s.second, s.revoke)
	o := pinned(t, original)
	older := s.receiptAt(s.ranges, s.second, s.size()-1, s.revoke)
	resigned := s.receiptFor(s.ranges, s.second, s.checkpoint(s.size(), s.signer(s.second), s.signer(s.first)), s.size(), s.revoke)
	for name, foreign := range map[string]*receipt.Receipt{"older": older, "other signatures": resigned} {
		for part, change := range map[string]func(*receipt.Receipt){
			"leaf":   func(r *receipt.Receipt) { r.Log = foreign.Log },
			"claim":  func(r *receipt.Receipt) { r.Claim = foreign.Claim },
			"epoch":  func(r *receipt.Receipt) { r.Epoch = foreign.Epoch },
			"signer": func(r *receipt.Receipt) { r.Signer = foreign.Signer },
			"last":   func(r *receipt.Receipt) { r.Last = foreign.Last },
			"flag":   func(r *receipt.Receipt) { r.Flags[0] = foreign.Flags[0] },
		} {
			t.Run(name+"/"+part, func(t *testing.T) {
				r := clone(original)
				change(r)
				wantFailed(t, verify(t, r, o), "leaf", "another checkpoint")
			})
		}
	}
	t.Run("signed by an epoch that is not in signer", func(t *testing.T) {
		r := s.receiptFor(s.ranges, s.first, s.checkpoint(s.size(), s.signer(s.second)), s.size())
		wantFailed(t, verify(t, r, o), "checkpoint", "not signed")
	})
}

// Valid leaves of the same log in the wrong places.
func TestExchangedLeaves(t *testing.T) {
	s := sharedScene()
	original := s.receipt(s.open, s.second)
	o := pinned(t, original)
	ranges := s.receipt(s.ranges, s.second)
	for name, tt := range map[string]struct {
		change func(*receipt.Receipt)
		step   string
	}{
		"last and accepted leaf":   {func(r *receipt.Receipt) { r.Last = r.Pair }, "inclusion"},
		"claim and epoch":          {func(r *receipt.Receipt) { r.Claim, r.Epoch = r.Epoch, r.Claim }, "leaf"},
		"accepted leaf and claim":  {func(r *receipt.Receipt) { r.Pair, r.Claim = r.Claim, r.Pair }, "leaf"},
		"epoch and signer":         {func(r *receipt.Receipt) { r.Epoch, r.Signer = r.Signer, r.Epoch }, "inclusion"},
		"signer is the epoch":      {func(r *receipt.Receipt) { r.Signer = r.Epoch }, "checkpoint"},
		"epoch is the signer":      {func(r *receipt.Receipt) { r.Epoch = r.Signer }, "inclusion"},
		"claim of another":         {func(r *receipt.Receipt) { r.Claim = ranges.Claim }, "statement"},
		"acceptance of another":    {func(r *receipt.Receipt) { r.Pair = ranges.Pair }, "statement"},
		"log text of another":      {func(r *receipt.Receipt) { r.Log = ranges.Log }, "leaf"},
		"leaf of another":          {func(r *receipt.Receipt) { r.Leaf = ranges.Leaf }, "leaf"},
		"claim log text of epoch":  {func(r *receipt.Receipt) { r.Claim.Log = r.Epoch.Log }, "leaf"},
		"accepted leaf as a claim": {func(r *receipt.Receipt) { r.Claim = r.Pair }, "leaf"},
	} {
		t.Run(name, func(t *testing.T) {
			r := clone(original)
			tt.change(r)
			p := receipt.Verify(context.Background(), r, o)
			wantFailed(t, p, tt.step, "")
		})
	}
}

func hashBytes(h [32]byte) []byte { return h[:] }

// lowBits sets an unused bit of base64 text that ends in one "=".
func lowBits(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	i := len(s) - 2
	return s[:i] + string(alphabet[strings.IndexByte(alphabet, s[i])^1]) + "="
}

func swap(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// signatures and checkpointAt return where these parts of a log text begin.
func signatures(log string) int   { return max(0, strings.Index(log, "—")) }
func checkpointAt(log string) int { return max(0, strings.Index(log, "\n\n")) + 2 }
