package transcript_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/transcript"
)

func TestDigest(t *testing.T) {
	want := sha256.Sum256([]byte("\x05label\x00\x00\x00\x00\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01c"))
	if got := transcript.Digest("label", []byte("ab"), nil, []byte("c")); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestDigestSeparates: parts cannot move into one another, nor into the label.
func TestDigestSeparates(t *testing.T) {
	seen := map[transcript.State]int{}
	for i, d := range []transcript.State{
		transcript.Digest("abc"),
		transcript.Digest("abc", nil),
		transcript.Digest("abc", nil, nil),
		transcript.Digest("abc", []byte("x")),
		transcript.Digest("abcx"),
		transcript.Digest("abc", []byte("xy")),
		transcript.Digest("abc", []byte("x"), []byte("y")),
		transcript.Digest("abc", []byte("y"), []byte("x")),
	} {
		if j, ok := seen[d]; ok {
			t.Errorf("digests %d and %d are equal", i, j)
		}
		seen[d] = i
	}
}

// blocks is the stream by its definition.
func blocks(state transcript.State, tag byte, n int) (b []byte) {
	for i := range n {
		block := sha256.Sum256(binary.BigEndian.AppendUint64(slices.Concat([]byte{2}, state[:], []byte{tag}), uint64(i)))
		b = append(b, block[:]...)
	}
	return b
}

// TestElements compares with the definition; 20,000 elements meet about 150
// numbers that are skipped.
func TestElements(t *testing.T) {
	state := transcript.Digest("test")
	var want []uint32
	skipped := 0
	for b := blocks(state, 9, 2600); len(want) < 20000; b = b[4:] {
		if v := binary.BigEndian.Uint32(b) &^ (1 << 31); v < field.Modulus {
			want = append(want, v)
		} else {
			skipped++
		}
	}
	if skipped < 50 {
		t.Fatalf("the test skips %d numbers", skipped)
	}
	s := transcript.NewStream(state, 9)
	got := make([]field.Element, 20000)
	s.Elements(got[:7])
	s.Elements(got[7:])
	for i := range got {
		if got[i].Uint32() != want[i] {
			t.Fatalf("element %d is %d, want %d", i, got[i].Uint32(), want[i])
		}
	}
}

// TestUniform: the elements fill 64 classes evenly. A draw by remainder from 32
// bits would put twice as many into the lowest ones.
func TestUniform(t *testing.T) {
	v := make([]field.Element, 64000)
	transcript.NewStream(transcript.Digest("uniform"), 0).Elements(v)
	var count [64]float64
	for _, x := range v {
		count[uint64(x.Uint32())*64/field.Modulus]++
	}
	chi := 0.0
	for _, c := range count {
		chi += (c - 1000) * (c - 1000) / 1000
	}
	if chi > 63+5*math.Sqrt(2*63) {
		t.Errorf("chi-square is %.0f with 63 degrees of freedom", chi)
	}
}

func TestPositions(t *testing.T) {
	state := transcript.Digest("test")
	for _, n := range []int{1, 2, 8, 256, 2048, 1 << 16} {
		count := min(n, 200)
		var want []int
		for b := blocks(state, 3, 400); len(want) < count; b = b[2:] {
			if p := int(b[0])<<8 + int(b[1]); !slices.Contains(want, p%n) {
				want = append(want, p%n)
			}
		}
		if got := transcript.NewStream(state, 3).Positions(n, count); !slices.Equal(got, want) {
			t.Errorf("n = %d: %v, want %v", n, got, want)
		}
	}
}

func TestStreamsDiffer(t *testing.T) {
	state := transcript.Digest("test")
	a, b := transcript.NewStream(state, 1).Block(), transcript.NewStream(state, 2).Block()
	c := transcript.NewStream(transcript.Digest("toast"), 1).Block()
	if a == b || a == c {
		t.Error("two streams are equal")
	}
	if !bytes.Equal(a[:], blocks(state, 1, 1)) {
		t.Error("the block is not the first of the stream")
	}
}

func TestWipe(t *testing.T) {
	s := transcript.NewStream(transcript.Digest("secret"), 1)
	s.Block()
	s.Wipe()
	if got, want := s.Block(), sha256.Sum256(make([]byte, 42)); got != want {
		t.Error("something of the stream is left")
	}
}

func TestRefuses(t *testing.T) {
	s := transcript.NewStream(transcript.State{}, 0)
	for name, f := range map[string]func(){
		"a label of 2 bytes":   func() { transcript.Digest("ab") },
		"a label of 256 bytes": func() { transcript.Digest(string(make([]byte, 256))) },
		"n is 3":               func() { s.Positions(3, 1) },
		"n is 0":               func() { s.Positions(0, 0) },
		"n is 2^17":            func() { s.Positions(1<<17, 1) },
		"5 of 4":               func() { s.Positions(4, 5) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
